#!/usr/bin/python3
"""The judge of connections (tests/lab/stamp): behind a relay that breaks them, each kind of break must be noticed. Prints TAP.

All rows run at once, in a network namespace of their own. Usage: tests/unit/test_stamp.py [build folder]
"""
import asyncio
import itertools
import json
import os
import signal
import socket
import struct
import sys
import tempfile

BUILD = sys.argv[1] if len(sys.argv) > 1 else os.environ.get("B", "build")
STAMP = os.path.join(BUILD, "tests/lab/stamp/stamp")
PORTS = itertools.count(5000)
TESTS = []


def test(function):
    TESTS.append(function)
    return function


class Relay:
    """Between client and server, both protocols on one port. `up` and `down` change chunks; None drops the chunk."""

    def __init__(self, server, other=None):
        self.server, self.other = server, other
        self.port = next(PORTS)
        self.up = self.down = lambda offset, data: data
        self.writers = []
        self.gate = asyncio.Event()  # closed: nothing passes, nothing is lost
        self.gate.set()
        self.udp_clients = {}

    async def open(self, host="127.0.0.1"):
        self.tcp = await asyncio.start_server(self.accept, host, self.port)
        loop = asyncio.get_running_loop()
        self.udp, _ = await loop.create_datagram_endpoint(lambda: UdpFront(self), (host, self.port))

    async def accept(self, reader, writer):
        reader_2, writer_2 = await asyncio.open_connection("127.0.0.1", self.server)
        self.writers += [writer, writer_2]
        try:
            await asyncio.gather(self.pump(reader, writer_2, "up"), self.pump(reader_2, writer, "down"))
        except OSError:
            self.abort(writer, writer_2)  # one end's reset is passed on, as a balancer does
        for each in (writer, writer_2):
            each.close()

    async def pump(self, reader, writer, way):
        offset = 0
        while data := await reader.read(4096):
            await self.gate.wait()
            changed = getattr(self, way)(offset, data)
            offset += len(data)
            if changed == "end" or writer.transport.is_closing():
                break
            if changed:
                writer.write(changed)
        if not writer.transport.is_closing():
            writer.write_eof()

    def abort(self, *writers):
        for writer in writers:
            if writer.transport.is_closing():
                continue
            sock = writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()

    def reset(self):
        self.abort(*self.writers)
        self.writers = []

    def redirect(self):
        """What clients send from now on reaches the other server."""
        self.server = self.other
        for back in self.udp_clients.values():
            back.close()
        self.udp_clients = {}


class UdpFront(asyncio.DatagramProtocol):
    def __init__(self, relay):
        self.relay = relay

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, addr):
        asyncio.ensure_future(self.forward(data, addr))

    async def forward(self, data, addr):
        relay = self.relay
        if addr not in relay.udp_clients:
            relay.udp_clients[addr], _ = await asyncio.get_running_loop().create_datagram_endpoint(
                lambda: UdpBack(self, addr), remote_addr=("127.0.0.1", relay.server))
        changed = relay.up(0, data)
        if changed:
            relay.udp_clients[addr].sendto(changed)


class UdpBack(asyncio.DatagramProtocol):
    def __init__(self, front, addr):
        self.front, self.addr = front, addr

    def datagram_received(self, data, addr):
        changed = self.front.relay.down(0, data)
        if changed:
            self.front.transport.sendto(changed, self.addr)


class Client:
    """A stamp client; what it says of itself is checked at its end."""

    def __init__(self, folder, *arguments):
        self.base = os.path.join(folder, str(next(PORTS)))
        self.arguments = (*arguments, "--ramp", "50", "--control", self.base + ".sock", "--report", self.base + ".json")

    async def start(self):
        self.process = await asyncio.create_subprocess_exec(STAMP, "run", *self.arguments, stdout=asyncio.subprocess.PIPE)
        return self

    async def tell(self, *words):
        process = await asyncio.create_subprocess_exec(STAMP, "tell", self.base + ".sock", *words,
                                                       stdout=asyncio.subprocess.PIPE)
        text = (await process.communicate())[0].decode()
        assert process.returncode == 0, (words, text)
        return text

    async def end(self, status):
        text = (await asyncio.wait_for(self.process.communicate(), 30))[0].decode()
        with open(self.base + ".json", encoding="ascii") as file:
            report = json.load(file)
        assert self.process.returncode == status, (self.process.returncode, text, report)
        assert report["ok"] == (status == 0), report
        assert text.startswith("stamp: "), text
        return report


def flip_at(position):
    """One wrong bit at an offset of the stream."""

    def change(offset, data):
        if offset <= position < offset + len(data):
            data = bytearray(data)
            data[position - offset] ^= 1
        return bytes(data)

    return change


class Field:
    """What every row gets: two servers, and relays and clients on demand."""

    def __init__(self, folder, servers):
        self.folder, self.servers = folder, servers

    async def relay(self, host="127.0.0.1"):
        relay = Relay(*self.servers)
        await relay.open(host)
        return relay

    async def tcp(self, relay, *arguments, count=4, host="127.0.0.1"):
        return await Client(self.folder, "--tcp", f"{host},{relay.port},{count}", *arguments).start()

    async def udp(self, relay, *arguments, count=4):
        return await Client(self.folder, "--udp", f"127.0.0.1,{relay.port},{count}", *arguments).start()


@test
async def path_without_a_break__everybody_counts_and_nobody_is_lost(field):
    relay = await field.relay()
    tcp = await field.tcp(relay, "--duration", "3", "--life", "1000", count=20)
    udp = await field.udp(relay, "--duration", "3", count=20)
    report = await tcp.end(0)
    assert report["tcp"]["counted"] >= 40 and report["tcp"]["lost"] == 0, report
    assert report["tcp"]["ended"] == report["tcp"]["opened"] and report["tcp"]["longest_gap_ms"] < 1000, report
    report = await udp.end(0)
    assert report["udp"]["counted"] == 20 and report["udp"]["requests"] == report["udp"]["answers"], report


@test
async def ipv6__is_served_alike(field):
    relay = await field.relay("::1")
    client = await field.tcp(relay, "--duration", "1", host="::1")
    assert (await client.end(0))["tcp"]["counted"] == 4


@test
async def silence_on_request__is_no_stall(field):
    client = await field.tcp(await field.relay(), "--duration", "1", "--hold", "6")
    assert (await client.end(0))["tcp"]["counted"] == 4


@test
async def reset__is_a_loss(field):
    relay = await field.relay()
    client = await field.tcp(relay, "--duration", "2")
    await asyncio.sleep(1)
    relay.reset()
    report = await client.end(1)
    assert report["tcp"]["reset"] == 4 and report["tcp"]["lost"] == 4, report
    assert report["offences"][0]["loss"] == "reset", report


async def expect_wrong(field, way, change):
    relay = await field.relay()
    setattr(relay, way, change)
    client = await field.tcp(relay, "--duration", "2", count=1)
    return (await client.end(1))["tcp"]


@test
async def wrong_bit_from_the_server__is_a_loss(field):
    assert (await expect_wrong(field, "down", flip_at(1000)))["wrong"] >= 1


@test
async def wrong_bit_of_the_client__is_seen_by_the_server_and_a_loss(field):
    assert (await expect_wrong(field, "up", flip_at(1500)))["reset"] >= 1


@test
async def missing_byte__is_a_loss(field):
    assert (await expect_wrong(field, "down", lambda offset, data: data[:-1] if offset > 1000 else data))["wrong"] >= 1


@test
async def repeated_byte__is_a_loss(field):
    assert (await expect_wrong(field, "down", lambda offset, data: data + data[-1:] if offset > 1000 else data))["wrong"] >= 1


@test
async def end_before_its_time__is_a_loss(field):
    assert (await expect_wrong(field, "down", lambda offset, data: "end" if offset > 1000 else data))["short"] >= 1


@test
async def rest_that_is_cut_off_after_the_half_close__is_a_loss(field):
    relay = await field.relay()
    client = await field.tcp(relay, "--duration", "2", "--rate", "100")
    # 2 s of 100 bytes and the tail of 3,000: what the server says after the client's end is more than this.
    relay.down = lambda offset, data: "end" if offset + len(data) > 1000 else data
    assert (await client.end(1))["tcp"]["short"] == 4


@test
async def silence_of_5_s__is_a_loss(field):
    relay = await field.relay()
    client = await field.tcp(relay, "--duration", "8")
    await asyncio.sleep(1)
    relay.down = lambda offset, data: None
    report = await client.end(1)
    assert report["tcp"]["stall"] == 4 and report["tcp"]["longest_gap_ms"] >= 5000, report


@test
async def client_that_nobody_hears__is_a_loss(field):
    """The relay's kernel acknowledges: the bytes that are missing are seen at the end."""
    relay = await field.relay()
    client = await field.tcp(relay, "--duration", "2")
    await asyncio.sleep(1)
    relay.up = lambda offset, data: None
    assert (await client.end(1))["tcp"]["short"] == 4


@test
async def silence_of_2_s__is_a_gap_and_no_loss(field):
    relay = await field.relay()
    client = await field.tcp(relay, "--duration", "5")
    await asyncio.sleep(1)
    await client.tell("fault", "two seconds")
    relay.gate.clear()
    await asyncio.sleep(2)
    assert int(await client.tell("gap")) >= 1800
    relay.gate.set()
    report = await client.end(0)
    assert report["faults"][0]["name"] == "two seconds" and report["faults"][0]["longest_gap_ms"] >= 1800, report
    assert report["tcp"]["gaps_over_1s"] == 4, report


@test
async def client_that_is_broken_off_at_its_end__is_no_success(field):
    relay = await field.relay()
    client = await field.tcp(relay, "--duration", "1")
    await asyncio.sleep(0.6)
    relay.gate.clear()
    await asyncio.sleep(1)
    client.process.send_signal(signal.SIGINT)
    assert (await client.end(1))["tcp"]["short"] == 4


@test
async def address_where_nobody_listens__is_no_success(field):
    client = await Client(field.folder, "--tcp", "127.0.0.1,4999,3", "--duration", "1").start()
    report = await client.end(3)
    assert report["tcp"]["failed_connects"] >= 3, report


@test
async def young_connections_at_a_fault__do_not_count(field):
    relay = await field.relay()
    client = await field.tcp(relay, "--duration", "2", "--interval", "400")
    await asyncio.sleep(0.3)  # one or two data packets
    await client.tell("fault", "kill")
    relay.reset()
    report = await client.end(0)
    assert report["tcp"]["young_lost"] == 4 and report["tcp"]["lost"] == 0, report


@test
async def connections_born_while_sync_is_cut__count_a_second_after_the_heal(field):
    relay = await field.relay()
    client = await field.tcp(relay, "--duration", "7")
    await asyncio.sleep(0.1)
    await client.tell("cut")
    await asyncio.sleep(1)
    relay.reset()  # 4 apart are lost: allowed
    await asyncio.sleep(1)
    await client.tell("healed")
    await asyncio.sleep(0.5)
    relay.reset()  # before the second is over
    await asyncio.sleep(1.5)
    relay.reset()  # those count
    report = await client.end(1)
    tcp = report["tcp"]
    assert tcp["apart"] >= 8 and tcp["apart_lost"] == 8 and tcp["lost"] == 4, report


@test
async def connection_of_before_the_cut__counts_during_it(field):
    relay = await field.relay()
    client = await field.tcp(relay, "--duration", "3")
    await asyncio.sleep(1)
    await client.tell("cut")
    relay.reset()
    report = await client.end(1)
    assert report["tcp"]["lost"] == 4 and report["tcp"]["apart"] >= 4, report


@test
async def datagrams_that_are_lost_or_come_twice__are_counted_and_no_loss(field):
    relay = await field.relay()
    numbers = itertools.count()
    relay.up = lambda offset, data: data if next(numbers) % 3 else None
    udp = await field.udp(relay, "--duration", "3")
    report = await udp.end(0)
    assert 0 < report["udp"]["answers"] < report["udp"]["requests"], report


@test
async def flow_that_falls_silent__is_a_loss(field):
    relay = await field.relay()
    client = await field.udp(relay, "--duration", "8")
    await asyncio.sleep(1)
    relay.down = lambda offset, data: None
    assert (await client.end(1))["udp"]["stall"] == 4


@test
async def flow_that_another_server_answers__is_a_loss(field):
    relay = await field.relay()
    client = await field.udp(relay, "--duration", "3")
    await asyncio.sleep(1)
    relay.redirect()
    assert (await client.end(1))["udp"]["server"] == 4


@test
async def flow_whose_session_is_made_anew_on_the_same_server__is_told(field):
    relay = await field.relay()
    relay.other = relay.server
    client = await field.udp(relay, "--duration", "3")
    await asyncio.sleep(1)
    relay.redirect()
    assert (await client.end(0))["udp"]["moved"] == 4


@test
async def wrong_bit_in_an_answer__is_a_loss(field):
    relay = await field.relay()
    relay.down = flip_at(150)
    client = await field.udp(relay, "--duration", "1", count=1)
    assert (await client.end(1))["udp"]["wrong"] >= 1


@test
async def live_ones__are_listed(field):
    client = await field.tcp(await field.relay(), "--duration", "2")
    await asyncio.sleep(1)
    live = json.loads(await client.tell("list"))
    assert len(live) == 4 and all(x["counts"] and x["server"] == 1 for x in live), live
    await client.end(0)


@test
async def wrong_usage__is_refused(field):
    for arguments in (["run"], ["run", "--tcp", "host,1,1"], ["run", "--tcp", "127.0.0.1,0,1"], ["run", "--tcp", "127.0.0.1,1"],
                      ["run", "--udp", "127.0.0.1,1,1", "--interval", "1"], ["serve"], ["serve", "--name", "0", "--port", "1"],
                      ["dance"], [], ["tell"]):
        process = await asyncio.create_subprocess_exec(STAMP, *arguments, stderr=asyncio.subprocess.DEVNULL)
        assert await process.wait() == 2, arguments


async def run_row(number, function, field):
    try:
        await function(field)
        return f"ok {number} - {function.__name__}"
    except Exception as error:  # a test that breaks is a test that fails
        return f"not ok {number} - {function.__name__}\n# {type(error).__name__}: {error}"


async def run_all():
    ports = [next(PORTS), next(PORTS)]
    servers = [await asyncio.create_subprocess_exec(STAMP, "serve", "--name", str(n), "--port", str(p), stdout=asyncio.subprocess.PIPE)
               for n, p in enumerate(ports, 1)]
    await asyncio.sleep(0.3)
    with tempfile.TemporaryDirectory(prefix="slu-test-stamp-") as folder:
        field = Field(folder, ports)
        lines = await asyncio.gather(*(run_row(n, f, field) for n, f in enumerate(TESTS, 1)))
    for line in lines:
        print(line)
    statuses = []
    for server in servers:
        server.send_signal(signal.SIGTERM)
        text = (await server.communicate())[0].decode()
        print("#", text, end="")
        statuses.append(server.returncode)
    # The first one got the client's wrong bits, the second only whole requests.
    good = statuses == [1, 0]
    print(f"{'' if good else 'not '}ok {len(TESTS) + 1} - servers_say_whether_they_saw_a_wrong_byte")
    return 1 if not good or any(line.startswith("not") for line in lines) else 0


def main():
    if os.environ.get("SLU_TEST_OWN_NETWORK") != "1":
        if os.geteuid() != 0:
            print("1..0 # SKIP a network namespace needs root")
            return 0
        os.environ["SLU_TEST_OWN_NETWORK"] = "1"
        os.execvp("unshare", ["unshare", "-n", "sh", "-c", 'ip link set lo up && exec "$0" "$@"', sys.executable, *sys.argv])
    print(f"1..{len(TESTS) + 1}", flush=True)
    return asyncio.run(run_all())


if __name__ == "__main__":
    sys.exit(main())
