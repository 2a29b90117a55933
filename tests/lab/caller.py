#!/usr/bin/python3
"""Who calls? Servers that read what a balancer tells of its clients, and clients that know the right answer.

  caller.py serve TCP-PORT UDP-PORT   answers with "ADDRESS PORT" of the caller: to a connection from option 254 of its
                                      SYN, to a datagram from the PROXY header before it; without any: "-"
  caller.py tcp ADDRESS PORT COUNT    COUNT connections to such a server, 8 at a time
  caller.py udp ADDRESS PORT COUNT    COUNT flows of two datagrams: the first is told, the second is not
  caller.py kept ADDRESS PORT COUNT SECONDS
                                      COUNT connections that ask an HTTP server for /caller every 200 ms

Clients exit with 0 only if every answer was the client's own address and port. Written without Sluice's code.
"""
import ipaddress
import selectors
import socket
import struct
import sys
import threading
import time

TCP_SAVE_SYN, TCP_SAVED_SYN = 27, 28
SIGNATURE = b'\r\n\r\n\0\r\nQUIT\n'


def in_syn(syn):
    """What option 254 of a saved SYN tells, which begins with its IP header."""
    tcp = syn[40:] if syn[0] >> 4 == 6 else syn[(syn[0] & 15) * 4:]
    options = tcp[20:(tcp[12] >> 4) * 4]
    while options and options[0] != 0:
        if options[0] == 1:
            options = options[1:]
            continue
        if len(options) < 2 or options[1] < 2 or options[1] > len(options):
            return '- malformed'
        if options[0] == 254:
            address = ipaddress.ip_address(options[4:options[1]])
            return f'{address} {struct.unpack(">H", options[2:4])[0]}'
        options = options[options[1]:]
    return '-'


def before_data(data):
    """What a PROXY header of a datagram tells, and the rest."""
    if data[:12] != SIGNATURE:
        return '-', data
    size = struct.unpack('>H', data[14:16])[0]
    n = {0x12: 4, 0x22: 16}[data[13]]
    assert data[12] == 0x21 and size == 2 * n + 4
    fields = data[16:16 + size]
    return (f'{ipaddress.ip_address(fields[:n])} {struct.unpack(">H", fields[2 * n:2 * n + 2])[0]}', data[16 + size:])


def answer_connection(connection):
    with connection:
        connection.recv(1)
        connection.sendall((in_syn(connection.getsockopt(socket.IPPROTO_TCP, TCP_SAVED_SYN, 256)) + '\n').encode())


def serve(tcp_port, udp_port):
    selector = selectors.DefaultSelector()
    tcp = socket.create_server(('', tcp_port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=512)
    tcp.setsockopt(socket.IPPROTO_TCP, TCP_SAVE_SYN, 1)
    udp = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    udp.bind(('::', udp_port))
    selector.register(tcp, selectors.EVENT_READ)
    selector.register(udp, selectors.EVENT_READ)
    while True:
        for key, _ in selector.select():
            if key.fileobj is tcp:
                threading.Thread(target=answer_connection, args=(tcp.accept()[0],)).start()
                continue
            data, sender = udp.recvfrom(2048)
            caller, rest = before_data(data)
            udp.sendto(caller.encode() + b'|' + rest, sender)


def name_of(sock):
    address, port = sock.getsockname()[:2]
    return f'{address} {port}'


def ask_tcp(address, port):
    with socket.create_connection((address, port), timeout=40) as s:
        s.sendall(b'?')  # who sends nothing waits for ever when the end of the handshake is lost too often
        return s.makefile().readline().strip() == name_of(s)


def ask_udp(address, port):
    with socket.socket(socket.AF_INET6 if ':' in address else socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(5)
        s.connect((address, port))
        s.send(b'first')
        first = s.recv(2048)
        s.send(b'second')
        return first == name_of(s).encode() + b'|first' and s.recv(2048) == b'-|second'


def ask_kept(address, port, seconds):
    with socket.create_connection((address, port), timeout=40) as s:
        replies, end = s.makefile('rb'), time.monotonic() + seconds
        while time.monotonic() < end:
            s.sendall(b'GET /caller HTTP/1.1\r\nHost: x\r\n\r\n')
            size = 0
            while (line := replies.readline().strip()) != b'':
                if line.lower().startswith(b'content-length:'):
                    size = int(line.split(b':')[1])
            if replies.read(size).decode().strip() != name_of(s):
                return False
            time.sleep(0.2)
    return True


def ask_many(count, at_a_time, ask):
    right, turn = [], threading.Semaphore(at_a_time)

    def one():
        with turn:
            try:
                right.append(ask())
            except OSError as error:
                print(error)
                right.append(False)

    threads = [threading.Thread(target=one) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(f'{right.count(True)} of {count} answers were right')
    return right.count(True) == count


def main():
    what, args = sys.argv[1], sys.argv[2:]
    if what == 'serve':
        serve(int(args[0]), int(args[1]))
    address, port, count = args[0], int(args[1]), int(args[2])
    if what == 'kept':
        return ask_many(count, count, lambda: ask_kept(address, port, float(args[3])))
    return ask_many(count, 8, lambda: {'tcp': ask_tcp, 'udp': ask_udp}[what](address, port))


if __name__ == '__main__':
    sys.exit(0 if main() else 1)
