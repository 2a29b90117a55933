#!/usr/bin/python3
"""Frames into a wire, and what leaves a wire: the eyes of test_testpmd.sh.

  testpmd_wire.py IN OUT KIND COUNT [FIELD=VALUE...]

Sends COUNT frames of KIND (tcp4, udp4, tcp6, udp6) into interface IN and takes those that come out of interface OUT.
FIELD=VALUE states what each must be: dst, src, sport, dport, dmac, ttl, flags, payload, or `seen=none` for nothing at all.
Checksums are recomputed from nothing and compared. Of the frames sent: send.flags=2, send.ttl=1.
"""
import ipaddress
import os
import select
import socket
import struct
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lab"))
from frames import checksum, ipv4, ipv6, l4_checksum  # pylint: disable=wrong-import-position

MARK = b"sluice testpmd wire test "
SRC4, DST4, SRC6, DST6 = "198.18.1.10", "198.18.1.100", "fd00:1::10", "fd00:1::100"
ENDS = bytes.fromhex("0251ce000000" "02aa00000001")


def build(kind, number, send):
    src, dst = (SRC4, DST4) if kind.endswith("4") else (SRC6, DST6)
    payload = MARK + bytes([number % 256]) * (number % 61)
    if kind.startswith("tcp"):
        proto, at = 6, 16
        segment = struct.pack(">HHIIBBHHH", 1234, 80, number, 1, 5 << 4, int(send.get("flags", 16)), 65535, 0, 0) + payload
    else:
        proto, at = 17, 6
        segment = struct.pack(">HHHH", 1234, 80, 8 + len(payload), 0) + payload
    segment = l4_checksum(src, dst, proto, segment, at)
    ttl = int(send.get("ttl", 64))
    ethertype, packet = ipv4(segment, dst, proto, src, ttl=ttl) if kind.endswith("4") else ipv6(segment, dst, proto, src, hops=ttl)
    return ENDS + struct.pack(">H", ethertype) + packet


def facts(frame):
    """What stands in a frame, and which of its checksums are wrong."""
    packet = frame[14:]
    if frame[12:14] == b"\x08\x00":
        length = struct.unpack(">H", packet[2:4])[0]
        head, segment, proto, ttl = packet[:20], packet[20:length], packet[9], packet[8]
        src, dst = packet[12:16], packet[16:20]
    else:
        length = struct.unpack(">H", packet[4:6])[0]
        head, segment, proto, ttl = b"", packet[40:40 + length], packet[6], packet[7]
        src, dst = packet[8:24], packet[24:40]
    src, dst = str(ipaddress.ip_address(src)), str(ipaddress.ip_address(dst))
    at = 16 if proto == 6 else 6
    right = l4_checksum(src, dst, proto, segment[:at] + b"\0\0" + segment[at + 2:], at)
    sport, dport = struct.unpack(">HH", segment[:4])
    return {"src": src, "dst": dst, "sport": sport, "dport": dport, "ttl": ttl, "dmac": frame[:6].hex(":"),
            "flags": segment[13] if proto == 6 else "", "payload": segment[20 if proto == 6 else 8:],
            "wrong": (["l3"] if head and checksum(head) else []) + (["l4"] if right != segment else [])}


def receive(sock, count, seconds):
    frames = []
    deadline = time.monotonic() + seconds
    while len(frames) < count and select.select([sock], [], [], max(0, deadline - time.monotonic()))[0]:
        frame, address = sock.recvfrom(2048)
        if address[2] != socket.PACKET_OUTGOING and MARK in frame:
            frames.append(frame)
    return frames


def check(frame, sent, wanted):
    got = facts(frame)
    bad = [name for name in wanted if str(got[name]) != wanted[name]]
    if got["payload"] != facts(sent)["payload"]:
        bad.append("payload")
    if bad or got["wrong"]:
        print(f"got {got}, wanted {wanted}: {bad}; checksums wrong: {got['wrong']}")
    return not bad and not got["wrong"]


def main():
    if len(sys.argv) < 5:
        print(__doc__, file=sys.stderr)
        return 2
    into, out, kind, count = sys.argv[1:4] + [int(sys.argv[4])]
    pairs = [argument.split("=", 1) for argument in sys.argv[5:]]
    send = {name[5:]: value for name, value in pairs if name.startswith("send.")}
    wanted = {name: value for name, value in pairs if not name.startswith("send.")}
    nothing = wanted.pop("seen", "") == "none"
    sent = [build(kind, number, send) for number in range(count)]
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)) as source, \
            socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)) as sink:
        source.bind((into, 0))
        sink.bind((out, 3))
        for frame in sent:
            source.send(frame)
        frames = receive(sink, max(count, 1), 1 if nothing else 10)
    if len(frames) != (0 if nothing else count):
        print(f"{len(frames)} frames left {out} of {count} sent into {into}")
        return 1
    return 0 if all(check(frame, before, wanted) for frame, before in zip(frames, sent)) else 1


if __name__ == "__main__":
    sys.exit(main())
