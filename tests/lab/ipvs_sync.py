#!/usr/bin/python3
"""Sync datagrams as a Linux IPVS would send them, and as nobody should: made here from the layout, with none of Sluice's code.

  ipvs_sync.py hex                    prints a datagram a line, in hexadecimal: one of each case
  ipvs_sync.py send ADDRESS           sends the datagrams on standard input to 224.0.0.81:8848 out of the interface with ADDRESS
  ipvs_sync.py last                   prints the client of the last session of the last case, as ipvsadm shows it
  ipvs_sync.py table KERNEL DECODED   for each case: its sentence, the kernel's verdict, Sluice's, `same` or the difference.
                                      KERNEL: what `ipvsadm -Lnc` printed; DECODED: what `sync_datagram decode` made of `hex`
  ipvs_sync.py vectors FILE           prints the datagrams of a file of vectors, in hexadecimal
  ipvs_sync.py count KERNEL FILE      for each of them: its sentence, sessions that the kernel has, that the file says it takes

Most cases are three sessions: one that is well-formed, one in question, one that is well-formed. So the verdict shows by
which of them are taken: all (taken), not the second (session dropped), only the first (rest dropped), none (ignored).
"""
import ipaddress
import re
import socket
import struct
import sys
import time

GROUP, PORT, SYNCID = "224.0.0.81", 8848, 7
TCP, UDP = 6, 17
NAT, LOCAL, TUN, DR, BYPASS = range(5)
INACTIVE, SEQ, NO_CPORT, TEMPLATE, ONE_PACKET = 0x100, 0x600, 0x800, 0x1000, 0x2000
NONE, ESTABLISHED, SYN_SENT, SYN_RECV, FIN_WAIT, TIME_WAIT, CLOSE, CLOSE_WAIT, LAST_ACK, LISTEN, SYNACK, OVER = range(12)
STATES = "NONE ESTABLISHED SYN_SENT SYN_RECV FIN_WAIT TIME_WAIT CLOSE CLOSE_WAIT LAST_ACK LISTEN SYNACK".split()
DEFAULT_S = dict(zip(STATES + ["UDP"], [2, 900, 120, 60, 120, 120, 10, 60, 30, 120, 120, 300]))  # time-outs of Linux
SEQ_DATA, PE_DATA, PE_NAME, OPTIONAL = 1, 2, 3, 0x40


def param(kind, data, length=None):
    return struct.pack("BB", kind, len(data) if length is None else length) + data


class Session:
    """One session of version 1. Which case and which of the case's sessions it is shows in its client's address and port."""

    def __init__(self, family=4, protocol=TCP, state=ESTABLISHED, flags=NAT, timeout=600, fwmark=0, params=b"", kind=None,
                 version=0, size=None, backend_port=8080, virtual_port=80, client_port=None):
        self.__dict__.update(locals())

    def pack(self, case, position):
        client_port = 1001 + position if self.client_port is None else self.client_port
        if self.family == 6:
            addresses = f"fd00:13::{case:x}", "fd00:1::100", "fd00:2::11"
        else:
            addresses = f"198.19.{case}.1", "198.18.1.100", "198.18.2.11"
        packed = b"".join(ipaddress.ip_address(a).packed for a in addresses)
        kind = (1 if self.family == 6 else 0) if self.kind is None else self.kind
        size = 24 + len(packed) + len(self.params) if self.size is None else self.size
        return struct.pack(">BBHIHHHHII", kind, self.protocol, self.version << 12 | size, self.flags, self.state, client_port,
                           self.virtual_port, self.backend_port, self.fwmark, self.timeout) + packed + self.params


class Session0:
    """One session of version 0."""

    def __init__(self, protocol=TCP, state=ESTABLISHED, flags=NAT, sequence=b""):
        self.__dict__.update(locals())

    def pack(self, case, position):
        packed = b"".join(ipaddress.ip_address(a).packed for a in (f"198.19.{case}.1", "198.18.1.100", "198.18.2.11"))
        return struct.pack(">BBHHH", 0, self.protocol, 1001 + position, 80, 8080) + packed + \
            struct.pack(">HH", self.flags, self.state) + self.sequence


def message(sessions, case, count=None, syncid=SYNCID, reserved=0, version=1, spare=0, size=None, tail=b"", cut=0):
    body = b""
    for position, session in enumerate(sessions):
        body += b"\0" * (-len(body) % 4) + session.pack(case, position)
    body = body[:len(body) - cut] + tail
    count = len(sessions) if count is None else count
    size = 8 + len(body) if size is None else size
    return struct.pack(">BBHBBH", reserved, syncid, size, count, version, spare) + body


def message0(sessions, case, count=None, syncid=SYNCID, size=None, cut=0):
    body = b"".join(session.pack(case, position) for position, session in enumerate(sessions))
    body = body[:len(body) - cut]
    count = len(sessions) if count is None else count
    return struct.pack(">BBH", count, syncid, 4 + len(body) if size is None else size) + body


def between(**fields):
    """A session in question between two that are well-formed."""
    return [Session(), Session(**fields), Session()]


def cases():
    """(sentence, sessions, options of message)."""
    good = Session()
    three = [good, good, good]
    numbers = struct.pack(">6I", 1, 2, 3, 4, 5, 6)
    seq = param(SEQ_DATA, numbers)
    sip = param(PE_DATA, b"call-1@client") + param(PE_NAME, b"sip")

    yield "three sessions", three, {}
    yield "three sessions of IPv6", [Session(family=6)] * 3, {}
    yield "IPv4, IPv6, IPv4", between(family=6), {}
    yield "UDP", between(protocol=UDP, state=0, timeout=120), {}
    yield "UDP of IPv6 between TCP", between(protocol=UDP, family=6, state=0, timeout=120), {}
    yield "every state of TCP", [Session(state=state) for state in range(OVER)], {}
    yield "every state of TCP with time-out 0: the state's own", [Session(state=state, timeout=0) for state in range(1, OVER)], {}
    yield "UDP with time-out 0: the protocol's own", between(protocol=UDP, state=0, timeout=0), {}
    yield "a time-out of one day", between(timeout=86400), {}
    yield "a time-out of 46 days", between(timeout=4000000), {}
    yield "40 sessions fill a datagram", [good] * 40, {}
    yield "20 sessions of IPv6 fill a datagram", [Session(family=6)] * 20, {}
    yield "inactive", between(flags=INACTIVE, state=CLOSE, timeout=10), {}
    yield "flags that are not for backups", between(flags=0xFFFF0000 | 0x20 | ONE_PACKET), {}
    yield "a mark of the firewall", between(fwmark=5), {}

    yield "forwarded by DR", between(flags=DR), {}
    yield "forwarded by TUN", between(flags=TUN), {}
    yield "forwarded to the director itself", between(flags=LOCAL), {}
    yield "forwarded past the director", between(flags=BYPASS), {}
    yield "forwarded by a method that there is not", between(flags=7), {}
    yield "a template of persistence", between(flags=TEMPLATE, state=0, client_port=0, timeout=300), {}
    yield "a template in a state that there is not", between(flags=TEMPLATE, state=9, client_port=0), {}
    # Last: the kernel would take a further session of this client for the one whose port was not known.
    yield "a client's port not known yet", [good, good, Session(flags=NO_CPORT, client_port=0)], {}

    yield "sequence numbers", between(flags=SEQ, params=seq), {}
    yield "sequence numbers without their flags", between(params=seq), {}
    yield "flags of sequence numbers without these", between(flags=SEQ), {}
    yield "sequence numbers said to be optional", between(flags=SEQ, params=param(SEQ_DATA | OPTIONAL, numbers)), {}
    yield "sequence numbers a byte short", between(params=param(SEQ_DATA, numbers[:23])), {}
    yield "sequence numbers a byte long", between(params=param(SEQ_DATA, numbers + b"\0")), {}
    yield "sequence numbers twice", between(params=seq + seq), {}
    yield "an engine of persistence and its data", between(params=sip), {}
    yield "an engine of persistence nobody knows", between(params=param(PE_DATA, b"x") + param(PE_NAME, b"nobody")), {}
    yield "an engine of persistence without data", between(params=param(PE_NAME, b"sip")), {}
    yield "data of persistence without an engine", between(params=param(PE_DATA, b"x")), {}
    yield "data of persistence, 255 bytes", between(params=param(PE_DATA, b"x" * 255) + param(PE_NAME, b"sip")), {}
    yield "data of persistence twice", between(params=param(PE_DATA, b"x") * 2), {}
    yield "an engine's name of 16 bytes", between(params=param(PE_NAME, b"n" * 16)), {}
    yield "an engine's name of 17 bytes", between(params=param(PE_NAME, b"n" * 17)), {}
    yield "an engine's name twice", between(params=param(PE_NAME, b"sip") * 2), {}

    yield "an unknown optional parameter", between(params=param(0x2F | OPTIONAL, b"12345")), {}
    yield "an unknown optional parameter twice", between(params=param(0x2F | OPTIONAL, b"12345") * 2), {}
    yield "an unknown mandatory parameter", between(params=param(0x2F, b"12345")), {}
    yield "an unknown mandatory parameter behind an optional one", between(
        params=param(0x2F | OPTIONAL, b"1") + param(0x2F, b"1")), {}
    yield "an unknown mandatory parameter, a broken one behind it", between(params=param(0x2F, b"1") + param(0x2F, b"")), {}
    yield "a broken parameter, an unknown mandatory one behind it", between(params=param(0x2F, b"") + param(0x2F, b"1")), {}
    yield "parameter type 0", between(params=param(0, b"1")), {}
    yield "parameter type 0x80", between(params=param(0x80, b"1")), {}
    yield "parameter type 0xff", between(params=param(0xFF, b"1")), {}
    yield "a parameter of length 0", between(params=param(0x2F | OPTIONAL, b"")), {}
    yield "a parameter longer than its session", between(params=param(0x2F | OPTIONAL, b"1234", length=5)), {}
    yield "a parameter's type without a length", between(params=b"\x6f"), {}
    yield "two bytes of zero in place of a parameter", between(params=b"\0\0"), {}

    yield "a session of version 1", between(version=1), {}
    yield "a session of type 2", between(kind=2), {}
    yield "a session of type 3, read as IPv6", between(family=6, kind=3), {}
    yield "a session of type 0x80", between(kind=0x80), {}
    yield "a state of TCP that there is not", between(state=OVER), {}
    yield "a state of TCP far out of range", between(state=0xFFFF), {}
    yield "a state of UDP that there is not", between(protocol=UDP, state=1), {}
    yield "a protocol nobody knows", between(protocol=99), {}
    yield "ICMP", between(protocol=1, state=0), {}
    yield "a session's size a byte short", between(size=35), {}
    yield "a session's size of 0", between(size=0), {}
    yield "IPv6 with the size of IPv4", between(family=6, size=36), {}
    yield "a session's size past the datagram", between(size=200), {}
    yield "padding counted in the last session's size", [good, good, Session(params=param(0x2F | OPTIONAL, b"1"), size=40)], {
        "tail": b"\0"}
    yield "padding behind the last session", [good, good, Session(params=param(0x2F | OPTIONAL, b"1"))], {"tail": b"\0"}
    yield "the last session not padded", [good, good, Session(params=param(0x2F | OPTIONAL, b"1"))], {}
    yield "a session of odd size, padded, in the middle", between(params=param(0x2F | OPTIONAL, b"1")), {}
    yield "the last session cut short", three, {"cut": 4}

    yield "more sessions counted than there are", three, {"count": 4}
    yield "fewer sessions counted than there are", three, {"count": 1}
    yield "bytes behind the last session", three, {"tail": b"\xff" * 5}
    yield "a header's size too small", three, {"size": 8 + 3 * 36 - 4}
    yield "a header's size too large", three, {"size": 8 + 3 * 36 + 4}
    yield "another group", three, {"syncid": SYNCID + 1}
    yield "group 0", three, {"syncid": 0}
    yield "a spare field that is not zero", three, {"spare": 1}
    yield "a header of version 2", three, {"version": 2}
    yield "version 1 in the place of version 0's count", three, {"reserved": 3}

    yield "version 0", [Session0()] * 3, {}
    yield "version 0, UDP", [Session0(), Session0(protocol=UDP, state=0), Session0()], {}
    yield "version 0, forwarded by DR", [Session0(), Session0(flags=DR), Session0()], {}
    yield "version 0 with sequence numbers", [Session0(), Session0(flags=SEQ, sequence=numbers), Session0()], {}
    yield "version 0, the last one's sequence numbers cut short", [Session0(), Session0(flags=SEQ, sequence=numbers)], {"cut": 1}
    yield "version 0, a state that there is not", [Session0(), Session0(state=OVER), Session0()], {}
    yield "version 0, a protocol nobody knows", [Session0(), Session0(protocol=99), Session0()], {}
    yield "version 0, more sessions counted than there are", [Session0()] * 3, {"count": 4}
    yield "version 0, fewer sessions counted than there are", [Session0()] * 3, {"count": 1}
    yield "version 0, the last session cut short", [Session0()] * 3, {"cut": 1}
    yield "version 0, another group", [Session0()] * 3, {"syncid": SYNCID + 1}
    yield "version 0, a header's size too large", [Session0()] * 3, {"size": 100}

    yield "three sessions once more", three, {}


def datagrams():
    """(number, sentence, clients of its sessions in their order, payload)."""
    for number, (sentence, sessions, options) in enumerate(cases(), 1):
        old = isinstance(sessions[0], Session0)
        payload = (message0 if old else message)(sessions, number, **options)
        clients = []
        for position, session in enumerate(sessions):
            port = getattr(session, "client_port", None)
            port = 1001 + position if port is None else port
            clients.append(f"[fd00:13::{number:x}]:{port}" if getattr(session, "family", 4) == 6 else f"198.19.{number}.1:{port}")
        yield number, sentence, clients, payload


def send(address, payloads):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(address))
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 1)
        for payload in payloads:
            sock.sendto(payload, (GROUP, PORT))
            time.sleep(0.002)  # the receiver may be a slow machine; nothing is sent twice


def number_of(client):
    v4 = re.match(r"198\.19\.(\d+)\.1:", client)
    v6 = re.match(r"\[fd00:13::([0-9a-f]+)\]:", client)
    return int(v4.group(1)) if v4 else int(v6.group(1), 16) if v6 else 0


def read_kernel(path):
    """case -> client -> (protocol, seconds, state, virtual, destination)."""
    found = {}
    with open(path, encoding="ascii") as file:
        for line in file:
            words = line.split()
            if len(words) < 6 or ":" not in words[1]:
                continue
            minutes, seconds = words[1].split(":")
            found.setdefault(number_of(words[3]), {})[words[3]] = (
                words[0], int(minutes) * 60 + int(seconds), words[2], *words[4:6])
    return found


def endpoint(record, address, port):
    text = record[address]
    return f"[{text}]:{record[port]}" if ":" in text else f"{text}:{record[port]}"


def read_decoded(path):
    """For each case: the same of its records, and how many sound sessions were passed over, by reason."""
    found = []
    with open(path, encoding="ascii") as file:
        for line in file:
            words = line.split()
            if words[0] == "=":
                counts = dict(zip(words[1::2], map(int, words[2::2])))
                found.append(({}, {name[5:]: count for name, count in counts.items() if name.startswith("skip_")}))
                continue
            record = dict(word.split("=") for word in words)
            protocol = int(record["protocol"])
            state = dict(enumerate(STATES)).get(int(record["state"]), record["state"]) if protocol == TCP else "UDP"
            found[-1][0][endpoint(record, "client", "cport")] = (
                "TCP" if protocol == TCP else "UDP", int(record["timeout_s"]) or DEFAULT_S.get(state, 0), state,
                endpoint(record, "virtual", "vport"), endpoint(record, "backend", "bport"))
    return found


def verdict(clients, taken, passed_over=0):
    here = [client in taken for client in clients]
    if here.count(False) == passed_over:
        return "taken"
    if not any(here):
        return "ignored"
    first_missing = here.index(False)
    return "session dropped" if any(here[first_missing:]) else "rest dropped"


def difference(kernel, ours, passed_over):
    for client in ours:
        if client not in kernel:
            return f"{client} only in ours"
        (protocol, seconds, *rest), (our_protocol, our_seconds, *our_rest) = kernel[client], ours[client]
        # The kernel's table was read some seconds after the datagram came.
        if (protocol, rest) != (our_protocol, our_rest) or not 0 <= our_seconds - seconds <= 10:
            return f"{client} kernel {kernel[client]} ours {ours[client]}"
    missing = [client for client in kernel if client not in ours]
    if len(missing) != passed_over:
        return f"{' '.join(missing) or 'nothing'} only in the kernel, {passed_over} expected"
    return "same"


def table(kernel_path, decoded_path):
    kernel, decoded = read_kernel(kernel_path), read_decoded(decoded_path)
    for (number, sentence, clients, _), (ours, skips) in zip(datagrams(), decoded, strict=True):
        theirs, passed_over = kernel.get(number, {}), sum(skips.values())
        note = "".join(f", {count} not for us: {name}" for name, count in skips.items())
        print(sentence, verdict(clients, theirs), verdict(clients, ours, passed_over) + note, difference(theirs, ours, passed_over),
              sep="\t")


def read_vectors(path):
    """(sentence, sessions that a kernel takes, payload) of each row of tests/vectors/sync."""
    with open(path, encoding="ascii") as file:
        for block in file.read().split("\n\n"):
            lines = block.strip().split("\n")
            text = "".join(line for line in lines if line and line[0] not in "#=")
            expected = [line for line in lines if line.startswith("=")]
            if text and expected:
                yield lines[0][2:], int(expected[0].split()[-1]), bytes.fromhex(text)


def count_vectors(kernel_path, path):
    with open(kernel_path, encoding="ascii") as file:
        words = [line.split() for line in file if re.match(r"\S+ +\d+:\d+ ", line)]
    # Each session of the file has a client's port of its own; in both versions the virtual port follows it.
    ports = [struct.pack(">HH", *(int(end.rsplit(":", 1)[1]) for end in row[3:5])) for row in words
             if re.match(r"198\.18\.90\.2:|\[fd00:90::2\]:", row[3])]
    for sentence, expected, payload in read_vectors(path):
        print(sentence, sum(pair in payload for pair in ports), expected, sep="\t")


def main():
    command, *args = sys.argv[1:] or [""]
    if command == "send" and len(args) == 1:
        send(args[0], map(bytes.fromhex, sys.stdin))
    elif command == "hex" and not args:
        for _, _, _, payload in datagrams():
            print(payload.hex())
    elif command == "last" and not args:
        print(list(datagrams())[-1][2][-1])
    elif command == "table" and len(args) == 2:
        table(*args)
    elif command == "vectors" and len(args) == 1:
        for _, _, payload in read_vectors(*args):
            print(payload.hex())
    elif command == "count" and len(args) == 2:
        count_vectors(*args)
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
