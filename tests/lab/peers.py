#!/usr/bin/python3
"""A server that knows nothing of balancers: tells each caller what accept() and getpeername() say of it.

  peers.py PORT     over IPv6 and IPv4: "ADDRESS PORT, ADDRESS PORT"
"""
import socket
import sys

with socket.create_server(('', int(sys.argv[1])), family=socket.AF_INET6, dualstack_ipv6=True) as listener:
    while True:
        connection, accepted = listener.accept()
        with connection:
            named = connection.getpeername()
            connection.sendall(f'{accepted[0]} {accepted[1]}, {named[0]} {named[1]}\n'.encode())
