#!/usr/bin/python3
"""Requests and responses of ambiguous framing through a real proxy, with a server that keeps what it got."""
# Time limit: 120 s
import os
import re
import socket
import subprocess
import sys
import tempfile

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")
sys.path.insert(0, os.path.join(TOP, "tests/e2e/l7"))
from origin import Origin  # noqa: E402
from smuggling import REQUESTS, RESPONSES, get  # noqa: E402

PROXY = os.path.join(TOP, "build/bin/sluice-l7")
GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
# What a server may get: a strict head, and a body that ends where it says.
HEAD = re.compile(rb"[A-Z]+ (/[\x21-\x7e]*|\*) HTTP/1\.1\r\n([!#$%&'*+.^_`|~0-9A-Za-z-]+: [\t\x20-\x7e\x80-\xff]*\r\n)+\r\n")


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


def read_all(connection):
    data = b""
    while True:
        try:
            more = connection.recv(65536)
        except ConnectionResetError:
            return data, True
        except TimeoutError:
            return data, False
        if not more:
            return data, True
        data += more


def talk(port, request, until_end):
    """Sends and returns (answer, whether the connection ended)."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(request)
        if until_end:
            return read_all(connection)
        data = b""
        while not data.endswith(b"hi") and (more := connection.recv(65536)):
            data += more
        return data, False


def status_of(answer):
    match = re.match(rb"HTTP/1\.1 (\d{3}) ", answer)
    return int(match.group(1)) if match else None


def body_is_whole(head, body):
    if b"\r\nTransfer-Encoding: chunked\r\n" in head:
        return b"Content-Length" not in head and re.fullmatch(
            rb"([0-9a-f]+\r\n.*\r\n)?0\r\n([!-~]+: [ -~]*\r\n)*\r\n", body, re.S) is not None
    length = re.findall(rb"\r\nContent-Length: (\d+)\r\n", head)
    return len(length) <= 1 and len(body) == int(length[0] if length else 0)


def request_row(origin, port, request, outcome):
    origin.tell(GOOD)
    # What is smuggled would come behind: a second request, which must not reach the server after a refusal.
    smuggled = b"" if outcome == "ok" else b"GET /smuggled HTTP/1.1\r\nHost: a.example\r\n\r\n"
    answer, ended = talk(port, request + smuggled, outcome != "ok")
    got = origin.heard()
    if outcome == "ok":
        match = HEAD.match(got)
        assert status_of(answer) == 200, f"answered {answer[:80]}"
        assert match and body_is_whole(match.group(0), got[match.end():]), f"the server got {got}"
        assert not re.search(rb"(?i)\r\n(te|upgrade|connection|x-hop): ", got), f"the server got {got}"
        return
    assert status_of(answer) == outcome, f"answered {answer[:80]}"
    assert ended, "the connection stayed open"
    assert len(re.findall(rb"HTTP/1\.1 \d{3} ", answer)) == 1, f"more than one answer: {answer}"
    assert b"smuggled" not in got, f"the server got {got}"
    match = HEAD.match(got)
    assert got == b"" or match, f"the server got {got}"
    assert got == b"" or not body_is_whole(match.group(0), got[match.end():]), f"the server got it whole: {got}"


def response_row(origin, port, response, outcome):
    origin.tell(response, close_after=True)
    answer, _ = talk(port, get(b"Connection: close\r\n"), True)
    assert status_of(answer) == outcome, f"answered {answer[:80]}"
    if outcome == 502:
        assert len(re.findall(rb"HTTP/1\.1 \d{3} ", answer)) == 1, f"more than one answer: {answer}"
        assert b"X-A" not in answer and b"Set-Cookie" not in answer, "something of it came through"


def run(name, check, *arguments):
    try:
        check(*arguments)
        return (True, name, "")
    except (AssertionError, OSError) as error:
        return (False, name, str(error))


def main():
    origin, port = Origin(), free_port()
    with tempfile.TemporaryDirectory(prefix="sluice-l7-") as folder:
        document = os.path.join(folder, "site.yaml")
        with open(document, "w", encoding="ascii") as file:
            file.write("listeners:\n  - {name: web, address: 127.0.0.1, protocol: http, group: g, "
                       f"port: {port}}}\ngroups:\n  - name: g\n    retries: 0\n    servers: "
                       f"[{{address: 127.0.0.1, port: {origin.port}}}]\n")
        with subprocess.Popen([PROXY, document], stderr=subprocess.PIPE, text=True) as proxy:
            assert "serving" in proxy.stderr.readline()
            rows = [run("request: " + row[0], request_row, origin, port, *row[1:]) for row in REQUESTS]
            rows += [run("response: " + row[0], response_row, origin, port, *row[1:]) for row in RESPONSES]
            # The worker that met all this is the one that serves.
            rows.append(run("request: a plain request still goes through", request_row, origin, port, get(), "ok"))
            proxy.terminate()
            rest = proxy.stderr.read()
            ended = proxy.wait(timeout=20) == 0 and "ended with" not in rest
            rows.append((ended, "no worker died of it", rest))
    print(f"1..{len(rows)}")
    for number, (good, name, why) in enumerate(rows, 1):
        print(f"{'ok' if good else 'not ok'} {number} - {name}")
        if not good:
            print(f"# {why}")
    return 0 if all(row[0] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
