#!/usr/bin/python3
"""Echo over TCP and UDP, and clients that check every byte that comes back.

  echo.py serve PORT...                        sends back what it gets, TCP and UDP, IPv4 and IPv6
  echo.py udp ADDRESS PORT COUNT               COUNT datagrams of 1 to 1400 bytes, one at a time
  echo.py steady ADDRESS PORT FLOWS SECONDS [PAUSE_MS]
                                               FLOWS connections exchange records all the time, with pauses of up to PAUSE_MS
                                               (20) between them; SIGTERM: ends early
  echo.py short ADDRESS PORT COUNT             COUNT connections, 16 at a time, one record each

Clients print one line of JSON and exit with 0 only if every answer was right. A lost datagram is sent again up to five
times and counted.
"""
import asyncio
import json
import random
import signal
import socket
import sys
import time


class UdpEcho(asyncio.DatagramProtocol):
    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, addr):
        self.transport.sendto(data, addr)


async def tcp_echo(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


async def serve(ports):
    loop = asyncio.get_running_loop()
    for port in map(int, ports):
        for family, address in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
            sock = socket.socket(family, socket.SOCK_DGRAM)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.bind((address, port))
            await loop.create_datagram_endpoint(UdpEcho, sock=sock)
        await asyncio.start_server(tcp_echo, ["0.0.0.0", "::"], port, backlog=4096)
    await asyncio.Event().wait()


def udp(address, port, count):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    draw = random.Random(int(count))
    lost = wrong = 0
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.settimeout(1)
        sock.connect((address, int(port)))
        for number in range(int(count)):
            data = number.to_bytes(4, "big") + draw.randbytes(draw.randint(0, 1396))
            data = data[: draw.choice((len(data), len(data), 4 + number % 9))]
            for _ in range(6):
                sock.send(data)
                try:
                    answer = sock.recv(65536)
                    while answer != data and answer[:4] < data[:4]:
                        answer = sock.recv(65536)  # late answer to one that was sent again
                except (TimeoutError, ConnectionRefusedError):
                    lost += 1
                    continue
                wrong += answer != data
                break
            else:
                print(json.dumps({"sent": number + 1, "lost": lost, "wrong": wrong}))
                return 1
    print(json.dumps({"sent": int(count), "lost": lost, "wrong": wrong}))
    return 0 if not wrong else 1


class Tally:
    def __init__(self):
        self.records = self.bytes = self.errors = 0
        self.stall_s = 0.0
        self.ended = False
        self.reasons = []

    async def once(self, number, address, port):
        data = random.Random(number).randbytes(number % 4000 + 1)
        try:
            reader, writer = await asyncio.open_connection(address, port)
            writer.write(data)
            writer.write_eof()
            answer = await reader.read()
            while more := await reader.read():
                answer += more
            if answer != data:
                raise ValueError("other bytes came back")
            self.records += 1
            self.bytes += len(data)
            writer.close()
            await writer.wait_closed()
        except (OSError, ValueError) as error:
            self.errors += 1
            self.reasons.append(f"connection {number}: {error!r}")

    async def flow(self, number, address, port, end, pause_s):
        draw = random.Random(number)
        try:
            reader, writer = await asyncio.open_connection(address, port)
            while time.monotonic() < end and not self.ended:
                data = draw.randbytes(draw.choice((1, 16, 700, 1448, 20000)))
                begin = time.monotonic()
                writer.write(data)
                answer = await reader.readexactly(len(data))
                self.stall_s = max(self.stall_s, time.monotonic() - begin)
                if answer != data:
                    raise ValueError("other bytes came back")
                self.records += 1
                self.bytes += len(data)
                await asyncio.sleep(draw.random() * pause_s)
            writer.close()
            await writer.wait_closed()
        except (OSError, ValueError, asyncio.IncompleteReadError) as error:
            self.errors += 1
            self.reasons.append(f"flow {number}: {error!r}")


async def short(address, port, count):
    state = Tally()
    numbers = iter(range(int(count)))

    async def worker():
        for number in numbers:
            await asyncio.wait_for(state.once(number, address, int(port)), 30)

    await asyncio.gather(*(worker() for _ in range(16)))
    print(json.dumps({"connections": state.records, "bytes": state.bytes, "errors": state.errors,
                      "reasons": state.reasons[:10]}))
    return 0 if state.records == int(count) else 1


async def steady(address, port, flows, seconds, pause_ms=20):
    state = Tally()
    end = time.monotonic() + float(seconds)
    ending = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ending.set)
    tasks = [asyncio.create_task(state.flow(n, address, int(port), end, int(pause_ms) / 1000)) for n in range(int(flows))]
    try:
        await asyncio.wait_for(ending.wait(), float(seconds))
    except TimeoutError:
        pass
    state.ended = True
    # A flow that hangs is a failure, not a test that never ends.
    _, hanging = await asyncio.wait(tasks, timeout=30)
    for task in hanging:
        task.cancel()
        state.errors += 1
        state.reasons.append("a flow hangs")
    print(json.dumps({"flows": int(flows), "records": state.records, "bytes": state.bytes, "errors": state.errors,
                      "longest_stall_ms": int(state.stall_s * 1000), "reasons": state.reasons[:10]}))
    return 1 if state.errors or not state.records else 0


def main():
    verb, *args = sys.argv[1:] or ["help"]
    if verb == "serve":
        asyncio.run(serve(args))
    elif verb == "udp" and len(args) == 3:
        return udp(*args)
    elif verb == "short" and len(args) == 3:
        return asyncio.run(short(*args))
    elif verb == "steady" and len(args) in (4, 5):
        return asyncio.run(steady(*args))
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
