#!/usr/bin/python3
"""Sends frames that no well-behaved host sends. Runs in the client's namespace.

  frames.py KIND DEVICE DST_MAC TARGET PORT COUNT [SEED]

KIND is a name of KINDS below, or `fuzz`: COUNT valid frames of TCP, UDP, ICMP over IPv4 and IPv6 with some bytes changed,
some cut short, drawn from SEED. TARGET is an address of the balancer. Prints how many frames were sent.
"""
import ipaddress
import random
import socket
import struct
import sys

CLIENT4, CLIENT6 = "198.18.1.10", "fd00:1::10"


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ipv4(payload, dst, proto=6, src=CLIENT4, ihl=5, version=4, ttl=64, frag=0, length=None, good=True):
    length = 20 + len(payload) if length is None else length
    head = struct.pack(">BBHHHBBH4s4s", version << 4 | ihl, 0, length, 7, frag, ttl, proto, 0,
                       ipaddress.ip_address(src).packed, ipaddress.ip_address(dst).packed)
    head = head[:10] + struct.pack(">H", checksum(head) ^ (0 if good else 0x5A5A)) + head[12:]
    return 0x0800, head + payload


def ipv6(payload, dst, proto=6, src=CLIENT6, length=None, hops=64):
    length = len(payload) if length is None else length
    return 0x86DD, struct.pack(">IHBB16s16s", 6 << 28, length, proto, hops, ipaddress.ip_address(src).packed,
                               ipaddress.ip_address(dst).packed) + payload


def l4_checksum(src, dst, proto, segment, at):
    pseudo = ipaddress.ip_address(src).packed + ipaddress.ip_address(dst).packed
    if len(pseudo) == 8:
        pseudo += struct.pack(">BBH", 0, proto, len(segment))
    else:
        pseudo += struct.pack(">II", len(segment), proto)
    return segment[:at] + struct.pack(">H", checksum(pseudo + segment)) + segment[at + 2:]


def tcp(dst, port, flags=2, offset=5, sport=40000, payload=b""):
    src = CLIENT6 if ":" in dst else CLIENT4
    segment = struct.pack(">HHIIBBHHH", sport, port, 1, 1, offset << 4, flags, 65535, 0, 0) + payload
    return l4_checksum(src, dst, 6, segment, 16)


def udp(dst, port, length=None, payload=b"x" * 20):
    src = CLIENT6 if ":" in dst else CLIENT4
    segment = struct.pack(">HHHH", 40000, port, 8 + len(payload) if length is None else length, 0) + payload
    return l4_checksum(src, dst, 17, segment, 6)


def icmp(kind, code, inside):
    body = struct.pack(">BBHI", kind, code, 0, 0) + inside
    return body[:2] + struct.pack(">H", checksum(body)) + body[4:]


KINDS = {
    "version_5": lambda d, p: ipv4(tcp(d, p), d, version=5),
    "header_too_short": lambda d, p: ipv4(tcp(d, p), d, ihl=4),
    "header_past_the_frame": lambda d, p: ipv4(b"", d, ihl=15),
    "length_past_the_frame": lambda d, p: ipv4(tcp(d, p), d, length=1400),
    "length_below_the_header": lambda d, p: ipv4(tcp(d, p), d, length=19),
    "bad_header_checksum": lambda d, p: ipv4(tcp(d, p), d, good=False),
    "tcp_cut_short": lambda d, p: ipv4(tcp(d, p)[:12], d),
    "tcp_offset_4": lambda d, p: ipv4(tcp(d, p, offset=4), d),
    "tcp_offset_past_the_end": lambda d, p: ipv4(tcp(d, p, offset=15), d),
    "udp_length_7": lambda d, p: ipv4(udp(d, p, length=7), d, proto=17),
    "udp_length_past_the_end": lambda d, p: ipv4(udp(d, p, length=900), d, proto=17),
    "from_loopback": lambda d, p: ipv4(tcp(d, p), d, src="127.0.0.1"),
    "from_multicast": lambda d, p: ipv4(tcp(d, p), d, src="224.0.0.5"),
    "tcp_no_flags": lambda d, p: ipv4(tcp(d, p, flags=0), d),
    "tcp_syn_fin": lambda d, p: ipv4(tcp(d, p, flags=3), d),
    "tcp_ack_without_session": lambda d, p: ipv4(tcp(d, p, flags=16, sport=1), d),
    "later_fragment_alone": lambda d, p: ipv4(b"y" * 64, d, frag=100),
    "tiny_first_fragment": lambda d, p: ipv4(tcp(d, p)[:8], d, frag=0x2000),
    "icmp_error_cut_short": lambda d, p: ipv4(icmp(3, 3, b"E" * 10), d, proto=1),
    "icmp_error_of_no_session": lambda d, p: ipv4(icmp(3, 3, ipv4(tcp(CLIENT4, 9), CLIENT4, src=d)[1]), d, proto=1),
    "ipv6_length_past_the_frame": lambda d, p: ipv6(tcp(d, p), d, length=1000),
    "ipv6_extension_cut_short": lambda d, p: ipv6(bytes([6, 200]) + b"\0" * 6, d, proto=0),
    "ipv6_extensions_without_end": lambda d, p: ipv6(bytes([60, 0, 1, 4, 0, 0, 0, 0]) * 100, d, proto=60),
    "ipv6_tcp_cut_short": lambda d, p: ipv6(tcp(d, p)[:12], d),
}


def fuzz(target, port, draw):
    target4 = target if "." in target else "198.18.1.100"
    target6 = target if ":" in target else "fd00:1::100"
    ethertype, packet = draw.choice((
        lambda: ipv4(tcp(target4, port, flags=draw.randrange(256), payload=draw.randbytes(draw.randrange(80))), target4),
        lambda: ipv4(udp(target4, port), target4, proto=17),
        lambda: ipv4(icmp(draw.randrange(20), 0, ipv4(tcp(CLIENT4, 80), CLIENT4, src=target4)[1]), target4, proto=1),
        lambda: ipv6(tcp(target6, port, flags=draw.randrange(256)), target6),
        lambda: ipv6(udp(target6, port), target6, proto=17),
        lambda: (draw.randrange(65536), draw.randbytes(draw.randrange(46, 1400))),
        lambda: (0x8100, struct.pack(">H", draw.randrange(65536)) + struct.pack(">H", 0x0800) + ipv4(tcp(target4, port), target4)[1]),
    ))()
    packet = bytearray(packet)
    for _ in range(draw.randrange(4)):
        packet[draw.randrange(min(len(packet), 64))] = draw.randrange(256)
    if not draw.randrange(4):
        del packet[draw.randrange(len(packet)):]
    return ethertype, bytes(packet)


def main():
    if len(sys.argv) < 7 or sys.argv[1] not in list(KINDS) + ["fuzz"]:
        print(__doc__, "\nKINDS:", *KINDS, file=sys.stderr)
        return 2
    kind, device, mac, target, port, count = sys.argv[1:7]
    draw = random.Random(int(sys.argv[7]) if len(sys.argv) > 7 else 1)
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as sock:
        sock.bind((device, 0))
        source = sock.getsockname()[4]
        ends = bytes.fromhex(mac.replace(":", "")) + source
        for _ in range(int(count)):
            ethertype, packet = fuzz(target, int(port), draw) if kind == "fuzz" else KINDS[kind](target, int(port))
            sock.send(ends + struct.pack(">H", ethertype) + packet)
    print(count)
    return 0


if __name__ == "__main__":
    sys.exit(main())
