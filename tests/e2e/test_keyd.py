#!/usr/bin/python3
"""sluice-keyd from outside, on loopback: what it signs, whom it refuses, and what the process gave up."""
# Time limit: 120 s
import hashlib
import os
import pathlib
import signal
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import time

TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "tests/unit"))
import tap  # noqa: E402

OK, BAD_MESSAGE, UNKNOWN_OPERATION, UNKNOWN_KEY, REFUSED, BAD_SCHEME, BAD_CONTENT = range(7)
LIMITED, BAD_VERSION, BAD_FRAME = 8, 11, 12
HELLO, LIST, TLS13, TLS12_SERVER, PREMASTER, TLS12_CLIENT, TICKETS, PING, STATS = 1, 2, 3, 4, 5, 6, 7, 10, 11
HASH = bytes(range(32))


def openssl(*arguments, data=None):
    return subprocess.run(["openssl", *map(str, arguments)], input=data, capture_output=True, check=True).stdout


def field(kind, data):
    return bytes([kind]) + len(data).to_bytes(3, "big") + data


def frame(kind, number, *fields):
    body = b"".join(fields)
    return struct.pack(">IBBHQ", len(body), kind, 0, 0, number) + body


def cert_verify(number, key, scheme=0x0403, role=1):
    return frame(TLS13, number, field(8, key), field(11, scheme.to_bytes(2, "big")), field(12, bytes([role])), field(13, HASH))


class Server:
    def __init__(self, folder):
        self.folder = folder
        self.process = None
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.ids = {}
        self.authority("ca")
        self.authority("foreign")
        self.certificate("ca", "server", "CN=keyd")
        for name in ("l7a", "l7b", "unknown"):
            self.certificate("ca", name, f"CN={name}", f"URI:spiffe://sluice/{name}")
        self.certificate("foreign", "stranger", "CN=l7a", "URI:spiffe://sluice/l7a")
        self.certificate("ca", "late", "CN=l7a", "URI:spiffe://sluice/l7a", ["-not_after", "20200102000000Z", "-not_before", "20200101000000Z"])
        self.key("p256", "EC", "ec_paramgen_curve:P-256")
        self.key("rsa", "RSA", "rsa_keygen_bits:2048")
        self.key("other", "ED25519")
        (folder / "secrets").write_text("5a" * 32 + "\n")
        self.configure()

    def path(self, name):
        return self.folder / name

    def authority(self, name):
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", 2, "-subj", f"/CN={name}",
                "-keyout", self.path(f"{name}.key"), "-out", self.path(f"{name}.pem"))

    def certificate(self, authority, name, subject, alternative=None, dates=()):
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/{subject}",
                "-keyout", self.path(f"{name}.key"), "-out", self.path(f"{name}.csr"))
        self.path("ext").write_text(f"subjectAltName={alternative}\n" if alternative else "")
        sign = ["x509", "-req", "-in", self.path(f"{name}.csr"), "-CA", self.path(f"{authority}.pem"), "-CAkey", self.path(f"{authority}.key"),
                "-CAcreateserial", "-extfile", self.path("ext"), "-out", self.path(f"{name}.pem")]
        # openssl x509 of version 3.0 knows days alone; a certificate that has ended has a day less than none.
        openssl(*sign, "-days", "-1" if dates else "2")

    def key(self, name, algorithm, option=None):
        openssl("genpkey", "-algorithm", algorithm, *(["-pkeyopt", option] if option else []), "-out", self.path(name))
        public = openssl("pkey", "-in", self.path(name), "-pubout", "-outform", "DER")
        openssl("pkey", "-in", self.path(name), "-pubout", "-out", self.path(f"{name}.pub"))
        self.ids[name] = hashlib.sha256(public).digest()

    def configure(self, keys=("p256", "rsa", "other"), extra="", user=""):
        names = {"rsa": ", rsa_premaster: true"}
        text = [f"listen: 127.0.0.1:{self.port}", user, "idle_s: 30", "audit: audit.log",
                "tls: {certificate: server.pem, key: server.key, client_ca: ca.pem}", "tickets: {secrets: secrets, period_s: 3600}", "keys:"]
        text += [f"  - {{name: {key}, file: {key}{names.get(key, '')}}}" for key in keys]
        text += ["clients:", "  - {identity: 'spiffe://sluice/l7a', keys: [p256, rsa], tickets: web, stats: true}",
                 "  - {identity: 'spiffe://sluice/l7b', keys: ['*'], rate: 50}", extra]
        self.path("keyd.yaml").write_text("\n".join(text) + "\n")

    def start(self):
        self.process = subprocess.Popen([TOP / "build/bin/sluice-keyd", "-c", self.path("keyd.yaml")], stderr=subprocess.PIPE, text=True)
        line = self.process.stderr.readline()
        assert "serves" in line, line

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(10) == 0, self.process.returncode


class Client:
    def __init__(self, server, name="l7a", hello=True, alpn="sluice-key"):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.load_verify_locations(server.path("ca.pem"))
        if name:
            context.load_cert_chain(server.path(f"{name}.pem"), server.path(f"{name}.key"))
        if alpn:
            context.set_alpn_protocols([alpn])
        self.socket = context.wrap_socket(socket.create_connection(("127.0.0.1", server.port), 20))
        self.number = 0
        if hello:
            assert self.ask(HELLO, field(1, b"\0\1"), field(2, b"\0\1"))[1] == OK

    def receive(self):
        """Type, status, id and fields of the next answer."""
        head = self.exactly(16)
        size, kind, status, _, number = struct.unpack(">IBBHQ", head)
        body, fields = self.exactly(size), {}
        while body:
            size = int.from_bytes(body[1:4], "big")
            fields[body[0]] = body[4:4 + size]
            body = body[4 + size:]
        return kind & 0x7F, status, number, fields

    def exactly(self, count):
        data = b""
        while len(data) < count:
            more = self.socket.recv(count - len(data))
            if not more:
                raise EOFError("closed")
            data += more
        return data

    def send(self, data):
        self.socket.sendall(data)

    def ask(self, kind, *fields):
        self.number += 1
        self.send(frame(kind, self.number, *fields))
        return self.receive()

    def sign(self, key, **options):
        self.number += 1
        self.send(cert_verify(self.number, key, **options))
        return self.receive()

    def fatal(self, data, status):
        self.send(data)
        kind, got, number, _ = self.receive()
        assert (kind, got, number) == (0, status, 0), (kind, got, number)
        try:
            assert self.socket.recv(1) == b""
        except ssl.SSLError:
            pass


def refused(function):
    try:
        function()
    except (ssl.SSLError, EOFError, ConnectionError):
        return
    raise AssertionError("it was not refused")


def verify(server, key, content, signature, *options):
    with tempfile.NamedTemporaryFile() as file:
        file.write(signature)
        file.flush()
        openssl("dgst", "-sha256", *options, "-verify", server.path(f"{key}.pub"), "-signature", file.name, data=content)


CONTEXT = b" " * 64 + b"TLS 1.3, server CertificateVerify\0" + HASH


@tap.test
def what_it_signs_for_tls_1_3_is_verified_by_openssl(server):
    client = Client(server)
    verify(server, "p256", CONTEXT, client.sign(server.ids["p256"])[3][20])
    verify(server, "rsa", CONTEXT, client.sign(server.ids["rsa"], scheme=0x0804)[3][20], "-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:32")


@tap.test
def what_it_signs_for_tls_1_2_is_verified_by_openssl(server):
    randoms, parameters = (b"c" * 32, b"s" * 32), b"\3\0\x1d\x20" + b"p" * 32
    fields = [field(8, server.ids["rsa"]), field(11, b"\4\1"), field(14, randoms[0]), field(15, randoms[1])]
    client = Client(server)
    answer = client.ask(TLS12_SERVER, *fields, field(16, parameters))
    verify(server, "rsa", b"".join(randoms) + parameters, answer[3][20])
    for wrong in (b"\3\0\x1d\x21" + b"p" * 33, b"\1" + parameters[1:], b"\3\0\x17\x20" + b"p" * 32):
        assert client.ask(TLS12_SERVER, *fields, field(16, wrong))[1] == BAD_CONTENT


@tap.test
def a_hundred_requests_at_once_are_all_answered(server):
    client = Client(server)
    client.send(b"".join(cert_verify(number, server.ids["p256"]) for number in range(2, 102)))
    assert sorted(client.receive()[1:3] for _ in range(100)) == [(OK, number) for number in range(2, 102)]


@tap.test
def keys_of_others_unknown_keys_wrong_roles_and_schemes_are_refused(server):
    client = Client(server)
    assert client.sign(server.ids["other"], scheme=0x0807)[1] == UNKNOWN_KEY
    assert client.sign(bytes(32))[1] == UNKNOWN_KEY
    assert client.sign(server.ids["p256"], role=2)[1] == REFUSED
    assert client.sign(server.ids["p256"], role=3)[1] == BAD_CONTENT
    for scheme in (0x0203, 0x0503, 0x0804, 0, 0xFFFF):
        assert client.sign(server.ids["p256"], scheme=scheme)[1] == BAD_SCHEME
    assert client.sign(server.ids["rsa"], scheme=0x0401)[1] == BAD_SCHEME  # PKCS #1 1.5 in TLS 1.3
    assert client.sign(server.ids["p256"])[1] == OK


@tap.test
def blobs_that_are_no_transcript_are_not_signed(server):
    client = Client(server, "l7b")
    for blob in (b"\x30\x82\1\0" + b"x" * 256, b"\1\0\0\x22\3\3" + b"r" * 32, b"\1\0\0\4\3\3rr"):
        assert client.ask(TLS12_CLIENT, field(8, server.ids["p256"]), field(11, b"\4\3"), field(19, blob))[1] == BAD_CONTENT


@tap.test
def a_premaster_is_48_bytes_whatever_is_wrong(server):
    client, secret = Client(server), b"\3\3" + b"m" * 46

    def ask(encrypted, version=b"\3\3"):
        return client.ask(PREMASTER, field(8, server.ids["rsa"]), field(17, version), field(18, encrypted))

    def encrypt(data, mode="pkcs1"):
        return openssl("pkeyutl", "-encrypt", "-pubin", "-inkey", server.path("rsa.pub"), "-pkeyopt", f"rsa_padding_mode:{mode}", data=data)

    assert ask(encrypt(secret))[3][21] == secret
    for wrong in (encrypt(secret[:47]), encrypt(b"\3\1" + secret[2:]), encrypt(b"\0" + b"x" * 255, "none"), b"\xff" * 256, b"\0" * 256):
        answer = ask(wrong)
        assert answer[1] == OK and len(answer[3][21]) == 48 and answer[3][21] != secret
    assert ask(b"x" * 255)[1] == BAD_CONTENT
    assert client.ask(PREMASTER, field(8, server.ids["p256"]), field(17, b"\3\3"), field(18, b"x" * 256))[1] == REFUSED


@tap.test
def strangers_are_refused(server):
    for name in (None, "stranger", "late"):
        refused(lambda: Client(server, name))  # pylint: disable=cell-var-from-loop
    refused(lambda: Client(server, alpn="http/1.1"))
    Client(server, "unknown", hello=False).fatal(b"", REFUSED)
    Client(server, alpn=None, hello=False).fatal(b"", REFUSED)


@tap.test
def what_is_no_frame_out_of_order_or_replayed_ends_the_connection(server):
    ping, hello = frame(PING, 9), frame(HELLO, 9, field(1, b"\0\1"), field(2, b"\0\1"))
    Client(server, hello=False).fatal(ping, BAD_FRAME)
    Client(server, hello=False).fatal(frame(HELLO, 1, field(1, b"\0\2"), field(2, b"\0\7")), BAD_VERSION)
    Client(server).fatal(hello, BAD_FRAME)
    Client(server).fatal(b"GET / HTTP/1.1\r\n\r\n", BAD_FRAME)
    Client(server).fatal(frame(PING, 1), BAD_FRAME)
    client = Client(server)
    client.send(ping)
    assert client.receive()[2] == 9
    client.fatal(ping, BAD_FRAME)


@tap.test
def wrong_messages_are_refused_and_the_connection_goes_on(server):
    client = Client(server)
    for fields in ([], [field(8, bytes(31))], [field(8, bytes(32))] * 2, [field(99, b"")], [b"\x08"]):
        assert client.ask(TLS13, *fields)[1] == BAD_MESSAGE
    assert client.ask(100)[1] == UNKNOWN_OPERATION
    assert client.ask(PING, field(26, b"still here"))[3][26] == b"still here"


@tap.test
def ticket_keys_are_for_clients_with_a_scope(server):
    answer = Client(server).ask(TICKETS)
    assert answer[1] == OK and len(answer[3][22]) == 4 * 104
    start, end, last = struct.unpack(">QQQ", answer[3][22][104 + 80:208])
    assert start <= time.time() < end and last == end + 7200
    assert Client(server, "l7b").ask(TICKETS)[1] == REFUSED
    assert Client(server).ask(TICKETS)[3][22] == answer[3][22]


@tap.test
def who_asks_more_than_his_rate_is_limited(server):
    client = Client(server, "l7b")
    client.send(b"".join(frame(PING, number) for number in range(2, 302)))
    statuses = [client.receive()[1] for _ in range(300)]
    assert statuses[0] == OK and statuses.count(LIMITED) >= 100, statuses.count(LIMITED)


@tap.test
def who_does_not_read_holds_up_nobody(server):
    slow = Client(server)
    slow.socket.settimeout(0.5)
    try:
        for start in range(2, 200000, 500):
            slow.send(b"".join(frame(LIST, number) for number in range(start, start + 500)))
    except (TimeoutError, ssl.SSLError):
        pass
    assert Client(server).sign(server.ids["p256"])[1] == OK


@tap.test
def a_reload_keeps_connections_and_a_bad_one_changes_nothing(server):
    client = Client(server)
    server.configure(keys=("p256", "other", "nothing"))
    server.process.send_signal(signal.SIGHUP)
    while "refused" not in server.process.stderr.readline():
        pass
    assert client.sign(server.ids["rsa"], scheme=0x0804)[1] == OK
    server.key("rsa", "RSA", "rsa_keygen_bits:2048")
    server.configure()
    server.process.send_signal(signal.SIGHUP)
    until = time.monotonic() + 20
    while client.ask(PING)[3][7] != (2).to_bytes(8, "big"):
        assert time.monotonic() < until
        time.sleep(0.05)
    verify(server, "rsa", CONTEXT, client.sign(server.ids["rsa"], scheme=0x0804)[3][20], "-sigopt", "rsa_padding_mode:pss")
    assert b'operation="tls13_cert_verify",status="ok"' in client.ask(STATS)[3][27]


@tap.test
def the_process_gave_up_dumps_tracing_and_system_calls(server):
    proc = pathlib.Path(f"/proc/{server.process.pid}")
    for status in proc.glob("task/*/status"):
        text = status.read_text()
        assert "\nSeccomp:\t2\n" in text and "\nNoNewPrivs:\t1\n" in text, text
    assert "Max core file size        0                    0" in (proc / "limits").read_text()
    locked = [line for line in (proc / "status").read_text().splitlines() if line.startswith("VmLck")]
    assert int(locked[0].split()[1]) > 0, locked
    assert proc.stat().st_uid == 0 and proc.stat().st_gid == 0  # what may not be dumped belongs to root


@tap.test
def as_another_user_its_memory_is_not_readable_by_that_user(server):
    server.stop()
    server.configure(user="user: nobody")
    server.start()
    proc = f"/proc/{server.process.pid}"
    assert "\nUid:\t65534\t65534\t65534\t65534\n" in pathlib.Path(proc, "status").read_text()
    result = subprocess.run(["head", "-c", "1", f"{proc}/mem"], user=65534, capture_output=True, text=True, check=False)
    assert "Permission denied" in result.stderr, result.stderr
    assert Client(server).sign(server.ids["p256"])[1] == OK


@tap.test
def the_audit_trail_tells_of_use_and_refusal(server):
    server.stop()
    text = server.path("audit.log").read_text()
    for words in ("connected client=spiffe://sluice/l7a", "used client=spiffe://sluice/l7a key=p256", "operation=tls13_cert_verify status=unknown_key"):
        assert words in text, words


def main():
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        server = Server(pathlib.Path(folder))
        server.start()
        try:
            return tap.run(server)
        finally:
            server.process.kill()
            server.process.wait()


sys.exit(main())
