#!/usr/bin/python3
"""Segments of connections that nobody has: how many are answered with RST. Runs in a client's namespace.

  stray.py SOURCE TARGET PORT COUNT SECONDS    COUNT segments (ACK, no data) from as many ports within SECONDS

Prints how many RSTs came back, until half a second after the last segment.
"""
import ipaddress
import socket
import struct
import sys
import time

FIRST_PORT = 30000  # below the kernel's own choice, so that the segments are nobody's
ACK, RST = 0x10, 0x04


def segment(source, target, sport, dport):
    head = struct.pack(">HHIIBBHHH", sport, dport, 1000, 2000, 5 << 4, ACK, 1024, 0, 0)
    pseudo = source.packed + target.packed
    pseudo += struct.pack(">BBH", 0, 6, len(head)) if source.version == 4 else struct.pack(">II", len(head), 6)
    total = sum(struct.unpack(f">{(len(pseudo) + len(head)) // 2}H", pseudo + head))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return head[:16] + struct.pack(">H", ~total & 0xFFFF) + head[18:]


def resets(sock, target, port, until):
    """Counts RSTs from the target's port until a time."""
    count = 0
    while (left := until - time.monotonic()) > 0:
        sock.settimeout(left)
        try:
            data, peer = sock.recvfrom(2048)
        except TimeoutError:
            break
        if ipaddress.ip_address(peer[0]) != target:
            continue
        if target.version == 4:
            data = data[(data[0] & 15) * 4:]
        sport, dport = struct.unpack(">HH", data[:4])
        count += sport == port and FIRST_PORT <= dport < FIRST_PORT + 2000 and bool(data[13] & RST)
    return count


def main():
    source, target = map(ipaddress.ip_address, sys.argv[1:3])
    port, count, seconds = int(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5])
    family = socket.AF_INET if target.version == 4 else socket.AF_INET6
    came = 0
    with socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_TCP) as sock:
        sock.bind((str(source), 0))
        begin = time.monotonic()
        for number in range(count):
            sock.sendto(segment(source, target, FIRST_PORT + number, port), (str(target), 0))
            came += resets(sock, target, port, begin + (number + 1) * seconds / count)
        came += resets(sock, target, port, time.monotonic() + 0.5)
    print(came)


if __name__ == "__main__":
    main()
