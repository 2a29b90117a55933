#!/usr/bin/python3
"""The agent's API and sluicectl, against the control plane as a process (control_agent.c). Prints TAP.

Runs in a network namespace of its own, so that health checks reach nobody. Usage: tests/unit/test_api.py [build folder]
"""
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

sys.dont_write_bytecode = True  # nothing is left in the tree
import tap

BUILD = sys.argv[1] if len(sys.argv) > 1 else os.environ.get("B", "build")
AGENT = os.path.join(BUILD, "tests/unit/control_agent")
CTL = os.path.join(BUILD, "bin/sluicectl")
ENTRIES = 30000  # two of three are sessions

DOCUMENT = """version: 1
node: lb1
state_dir: {folder}/state
api: {folder}/run/api.sock
ports: [{{name: p0, device: d0, tap: t0, addresses: [198.18.1.2/24]}}]
local_addresses: [198.18.9.100]
groups:
- {{name: web, check: {{type: tcp}}, backends: [{{name: b1, address: 198.18.2.1, port: 80, weight: {weight}}}, {{name: b2, address: 198.18.2.2, port: 80}}]}}
- {{name: dns, scheduler: rr, backends: [{{name: b1, address: 198.18.2.1, port: 53}}]}}
listeners:
- {{name: http, address: 198.18.1.100, protocol: tcp, ports: 80, group: web}}
- {{name: dns, address: 198.18.1.100, protocol: udp, ports: 53-54, mode: fullnat, group: dns}}
"""


class Connection(http.client.HTTPConnection):
    """HTTP over a UNIX socket."""

    def __init__(self, path, timeout=10):
        super().__init__("sluice", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Agent:
    def __init__(self, entries=ENTRIES):
        self.folder = tempfile.mkdtemp(prefix="slu-test-api-")
        self.config = os.path.join(self.folder, "lb.yaml")
        self.socket = os.path.join(self.folder, "run/api.sock")
        self.entries = entries
        with open(self.config, "w", encoding="ascii") as file:
            file.write(self.document())
        self.start()

    def document(self, weight=5):
        return DOCUMENT.format(folder=self.folder, weight=weight)

    def start(self):
        self.process = subprocess.Popen(
            [AGENT, self.config, str(self.entries)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        assert self.process.stdout.readline() == b"ready\n"

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(10)
        self.process.stdin.close()
        self.process.stdout.close()
        return status

    def remove(self):
        if self.process.poll() is None:
            self.stop()
        shutil.rmtree(self.folder)

    def call(self, method, target, body=None):
        connection = Connection(self.socket)
        connection.request(method, target, body)
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        return answer, json.loads(text)

    def get(self, target):
        answer, body = self.call("GET", target)
        assert answer.status == 200, (target, answer.status, body)
        assert answer.headers["Content-Type"] == "application/json"
        return body

    def ctl(self, *arguments, document=None):
        done = subprocess.run(
            [CTL, "-s", self.socket, *arguments], input=document, capture_output=True, text=True, timeout=60, check=False
        )
        return done.returncode, done.stdout, done.stderr

    def rss_kb(self):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as file:
            return int(re.search(r"VmRSS:\s+(\d+)", file.read()).group(1))


def equal(got, wanted):
    assert got == wanted, f"{got!r} instead of {wanted!r}"


@tap.test
def resources__answer_with_what_is_configured(agent):
    listeners = agent.get("/v1/listeners")["listeners"]
    equal([(x["name"], x["protocol"], x["port_first"], x["port_last"], x["group"]) for x in listeners],
          [("http", "tcp", 80, 80, "web"), ("dns", "udp", 53, 54, "dns")])
    backends = agent.get("/v1/backends")["backends"]
    equal([(x["group"], x["name"], x["weight"]) for x in backends], [("web", "b1", 5), ("web", "b2", 1), ("dns", "b1", 1)])
    equal(backends[2]["health"], "unchecked")
    groups = agent.get("/v1/groups")["groups"]
    equal([(x["name"], x["scheduler"], x["backends"]) for x in groups], [("web", "maglev", 2), ("dns", "rr", 1)])
    equal(agent.get("/v1/card"), {"name": "arithmetic", "entries": ENTRIES, "banks": [1, 2]})
    equal(agent.get("/v1/ports"), {"ports": [{"name": "p0", "link": True}]})
    equal(agent.get("/v1/generation")["listeners"], 2)
    equal(agent.get("/v1/config")["groups"][0]["backends"][0]["weight"], 5)


@tap.test
def backend_that_refuses_its_check__is_down_with_the_reason(agent):
    end = time.monotonic() + 5
    while True:
        backend = agent.get("/v1/backends")["backends"][0]
        if backend["health"] == "down" or time.monotonic() > end:
            break
        time.sleep(0.02)
    equal((backend["health"], backend["effective_weight"], backend["weight"]), ("down", 0, 5))
    equal(backend["reason"], "connect: Connection refused")


@tap.test
def counters_beyond_2_to_the_53__are_exact(agent):
    equal(agent.get("/v1/stats")["drops"]["no_backend"], 2**53 + 1)
    equal(agent.get("/v1/backends")["backends"][0]["request_bytes"], 2**53 + 1)
    session = agent.get("/v1/sessions?client=10.0.117.46")["sessions"][0]  # entry 29998
    equal(session["reply"], {"owner": "software", "packets": 29998, "bytes": 2**40 + 29998})
    equal(session["request"]["owner"], "card")


@tap.test
def pages_of_sessions__show_each_once(agent):
    seen, cursor, pages = [], "0", 0
    while cursor is not None:
        body = agent.get(f"/v1/sessions?limit=700&cursor={cursor}")
        assert len(body["sessions"]) <= 700
        seen += [x["request"]["packets"] for x in body["sessions"]]
        cursor = body["next_cursor"]
        pages += 1
    equal(seen, [i for i in range(ENTRIES) if i % 3 != 2])
    assert pages in (29, 30), pages
    equal(len(agent.get("/v1/sessions")["sessions"]), 1000)
    equal(len(agent.get("/v1/sessions?limit=0")["sessions"]), 20000)


@tap.test
def filters_of_sessions__pass_what_they_name(agent):
    everything = agent.get("/v1/sessions?limit=0")["sessions"]

    def count(query):
        body = agent.get(f"/v1/sessions?limit=0&{query}")
        equal(body["next_cursor"], None)
        return len(body["sessions"])

    for query in ("listener=dns", "backend=web/b1", "client=10.0.1.0/24", "client=fd00::/8", "limit=7"):
        equal(agent.get(f"/v1/sessions?count=1&{query}"), {"count": 20000 if query == "limit=7" else count(query)})
    equal(count("listener=dns"), sum(x["listener"] == "dns" for x in everything))
    equal(count("backend=web/b1"), sum(x["backend"] == "web/b1" for x in everything))
    equal(count("backend=b1"), sum(x["backend"].endswith("/b1") for x in everything))
    equal(count("client=10.0.1.0/24"), sum(x["client"]["address"].startswith("10.0.1.") for x in everything))
    equal(count("client=10.0.1.4"), 0)  # entry 260 is empty
    equal(count("client=10.0.1.3"), 1)
    equal(count("listener=nothing"), 0)
    equal(count("client=fd00::/8"), 0)
    assert 0 < count("listener=http&backend=b1") < 20000


@tap.test
def bad_requests__are_refused_with_json(agent):
    rows = [
        ("GET", "/", None, 404),
        ("GET", "/v1/nothing", None, 404),
        ("GET", "/v1/listeners/", None, 404),
        ("GET", "/v1/groups//backends//weight", None, 404),
        ("DELETE", "/v1/config", None, 405),
        ("POST", "/v1/sessions", "{}", 405),
        ("GET", "/v1/node/drain", None, 405),
        ("POST", "/v1/node/drain?now=1", "", 400),
        ("GET", "/v1/cluster?x=1", None, 400),
        ("PUT", "/v1/cluster/config", "{}", 405),
        ("POST", "/v1/cluster/config?force=1", "{}", 400),
        ("POST", "/v1/cluster/config", "#" * (16 * 2**20 + 1), 413),
        ("GET", "/v1/groups/web/backends/b1/weight", None, 405),
        ("GET", "/v1/listeners?x=1", None, 400),
        ("GET", "/v1/sessions?limit=-1", None, 400),
        ("GET", "/v1/sessions?limit=99999999999999999999", None, 400),
        ("GET", "/v1/sessions?cursor=next", None, 400),
        ("GET", "/v1/sessions?client=10.0.0.0/33", None, 400),
        ("GET", "/v1/sessions?client=somebody", None, 400),
        ("GET", "/v1/sessions?listener=", None, 400),
        ("GET", "/v1/sessions?listener=" + "a" * 100, None, 400),
        ("GET", "/v1/sessions?colour=red", None, 400),
        ("GET", "/v1/sessions?count=2", None, 400),
        ("POST", "/v1/config?dry_run=maybe", "{}", 400),
        ("POST", "/v1/config?dryrun=1", "{}", 400),
        ("PUT", "/v1/groups/web/backends/b1/weight", "{weight: 1", 400),
        ("PUT", "/v1/groups/web/backends/b1/weight", "", 400),
        ("PUT", "/v1/groups/web/backends/b1/weight", '{"weight": "1"}', 422),
        ("PUT", "/v1/groups/web/backends/b1/weight", '{"weight": -1}', 422),
        ("PUT", "/v1/groups/web/backends/b1/weight", '{"weight": 1001}', 422),
        ("PUT", "/v1/groups/web/backends/b1/weight", '{"weight": 1, "more": 2}', 422),
        ("PUT", "/v1/groups/web/backends/b9/weight", '{"weight": 1}', 404),
        ("PUT", "/v1/groups/" + "w" * 100 + "/backends/b1/weight", '{"weight": 1}', 404),
        ("POST", "/v1/config", "", 422),
        ("POST", "/v1/config", "\0" * 100, 422),
        ("POST", "/v1/config", b"\xff\xfe\xfd", 422),
        ("POST", "/v1/config", "#" * (16 * 2**20 + 1), 413),
    ]
    before = agent.get("/v1/generation")["generation"]
    for method, target, body, status in rows:
        answer, refusal = agent.call(method, target, body)
        assert answer.status == status, (method, target[:80], answer.status, refusal)
        assert refusal["error"], (method, target[:80])
    answer, _ = agent.call("DELETE", "/v1/config")
    equal(answer.headers["Allow"], "GET, POST")
    equal(agent.get("/v1/generation")["generation"], before)


@tap.test
def bytes_that_are_no_http__do_no_harm(agent):
    for garbage in [b"\0" * 4096, b"GET", b"GET / HTTP/9.9\r\n\r\n", b"\x16\x03\x01" + bytes(range(256)) * 8,
                    b"GET /v1/card HTTP/1.1\r\nX: " + b"a" * 40000 + b"\r\n\r\n",
                    b"POST /v1/config HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\nabc",
                    b"POST /v1/config HTTP/1.1\r\nContent-Length: -5\r\n\r\nabc",
                    b"POST /v1/config HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
                    b"GET /v1/sessions?%zz=%00 HTTP/1.1\r\n\r\n", b"GET //..//v1/%2e HTTP/1.1\r\n\r\n"]:
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(0.5)
        connection.connect(agent.socket)
        try:
            connection.sendall(garbage)
            while connection.recv(4096):
                pass
        except (TimeoutError, ConnectionError, BrokenPipeError):
            pass
        connection.close()
    agent.get("/v1/generation")


@tap.test
def idle_connections__do_not_keep_others_waiting(agent):
    idle = []
    for i in range(300):
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(agent.socket)
        connection.sendall(b"POST /v1/config HTTP/1.1\r\nContent-Length: 100\r\n\r\nver"[: i % 60])
        idle.append(connection)
    began = time.monotonic()
    agent.get("/v1/listeners")
    assert time.monotonic() - began < 2
    for connection in idle:
        connection.close()


@tap.test
def reader_that_stops__costs_little_memory_and_no_time(agent):
    large = Agent(30_000_000)  # 20 million sessions, some 9 GB of answer
    try:
        before = large.rss_kb()
        slow = socket.socket(socket.AF_UNIX)
        slow.connect(large.socket)
        slow.sendall(b"GET /v1/sessions?limit=0 HTTP/1.1\r\nHost: x\r\n\r\n")
        slow.recv(1000)
        waits = []
        for _ in range(21):
            began = time.monotonic()
            large.get("/v1/generation")
            waits.append(time.monotonic() - began)
            time.sleep(0.02)
        assert sorted(waits)[10] < 0.1, waits
        assert large.rss_kb() - before < 8192, (before, large.rss_kb())
        slow.close()
        large.get("/v1/generation")
    finally:
        equal(large.stop(), 0)
        large.remove()


@tap.test
def walk_that_finds_nothing__leaves_the_loop_to_others(agent):
    large = Agent(30_000_000)
    try:
        done = []

        def search():
            connection = Connection(large.socket, 60)
            connection.request("GET", "/v1/sessions?limit=0&client=192.168.1.1")
            done.append(json.loads(connection.getresponse().read()))

        searcher = threading.Thread(target=search)
        searcher.start()
        waits = []
        while not done and len(waits) < 3000:
            began = time.monotonic()
            large.get("/v1/generation")
            waits.append(time.monotonic() - began)
        searcher.join()
        equal(done, [{"sessions": [], "next_cursor": None}])
        assert len(waits) > 10 and sorted(waits)[len(waits) // 2] < 0.1, waits
    finally:
        large.remove()


@tap.test
def node_that_is_alone__has_no_cluster_to_show_or_to_leave(agent):
    node = agent.get("/v1/node")
    equal((node["node"], node["cluster"]), ("lb1", False))
    for method, target in [("GET", "/v1/cluster"), ("POST", "/v1/node/drain"), ("POST", "/v1/node/undrain")]:
        answer, refusal = agent.call(method, target, "" if method == "POST" else None)
        equal((answer.status, refusal["error"]), (404, "this node is alone: its document has no cluster"))
    answer, refusal = agent.call("POST", "/v1/cluster/config", "version: 1")
    equal((answer.status, refusal["errors"][0]["path"]), (422, "cluster.etcd"))
    whole, shared = agent.get("/v1/config"), agent.get("/v1/cluster/config")
    equal(shared, {key: whole[key] for key in ("version", "groups", "listeners", "snat", "eip", "metering") if key in whole})
    equal(agent.ctl("cluster", "config")[0], 0)
    session = agent.get("/v1/sessions?limit=1")["sessions"][0]
    equal((session["node"], session["passive"]), (None, False))
    code, text, _ = agent.ctl("node")
    equal((code, text), (0, "lb1 is alone, 20000 sessions\n"))
    for arguments in (["cluster"], ["node", "drain"], ["node", "drain", "--wait", "5"], ["node", "undrain"]):
        equal(agent.ctl(*arguments), (1, "", "sluicectl: this node is alone: its document has no cluster\n"))


def metering_of(node, name, number, **others):
    ways = {way: {"packets": number, "bytes": 100 * number} for way in ("in", "out")}
    total = {"name": name, "id": 1, "kind": "listener", "removed": False, "since_ms": 7 * number, "internet": ways, "internal": ways}
    return json.dumps({"node": node, "metering": [{**total, **others}]})


@tap.test
def metering_of_several_nodes__is_added_up_by_name_and_kind(agent):
    text = metering_of("n1", "web", 3, removed=True) + metering_of("n2", "web", 5) + "\n" + metering_of("n3", "web", 7, kind="snat")
    with open(agent.folder + "/metering.json", "w", encoding="ascii") as file:
        file.write(text)
    code, out, _ = agent.ctl("metering", "sum", agent.folder + "/metering.json", "--json")
    result = json.loads(out)
    equal((code, result["nodes"]), (0, ["n1", "n2", "n3"]))
    rows = [(x["name"], x["kind"], x["removed"], x["since_ms"], x["internal"]["out"]) for x in result["metering"]]
    equal(rows, [("web", "listener", False, 21, {"packets": 8, "bytes": 800}), ("web", "snat", False, 49, {"packets": 7, "bytes": 700})])
    code, out, _ = agent.ctl("metering", "sum", agent.folder + "/metering.json")
    equal((code, "web" in out), (0, True))


@tap.test
def metering_that_cannot_be_added_up__is_refused_with_the_reason(agent):
    path = agent.folder + "/bad.json"
    none = "is no answer of sluicectl metering --json"
    for text, why in [
        ("", "is empty"),
        (" \n", "is empty"),
        ("[]", none),
        ("{}", none),
        ('{"node": "n1", "metering": [7]}', none),
        ('{"node": 1, "metering": []}', none),
        (metering_of("n1", "web", 1, internal={}), none),
        (metering_of("n1", "web", 1, removed=0), none),
        (metering_of("n1", "web", -1), none),
        (metering_of("n1", "web", 9 * 10**16) + metering_of("n2", "web", 9 * 10**16), none),
        (metering_of("n1", "web", 1) * 2, "has a node a second time"),
    ]:
        with open(path, "w", encoding="ascii") as file:
            file.write(text)
        equal(agent.ctl("metering", "sum", path), (1, "", f"sluicectl: {path}: {why}\n"))
    for text in ("{", metering_of("n1", "web", 1) + "x", '{"node": "a", "node": "b"}'):
        with open(path, "w", encoding="ascii") as file:
            file.write(text)
        code, out, _ = agent.ctl("metering", "sum", path)
        equal((code, out), (1, ""))
    equal(agent.ctl("metering", "sum", agent.folder + "/none"), (1, "", f"sluicectl: {agent.folder}/none: No such file or directory\n"))
    equal(agent.ctl("metering", "sum")[0], 2)


@tap.test
def document_with_three_errors__is_refused_whole_with_all_three(agent):
    before = agent.get("/v1/config")
    bad = agent.document(2000).replace("protocol: udp", "protocol: icmp") + "bogus: 1\n"
    answer, body = agent.call("POST", "/v1/config", bad)
    equal(answer.status, 422)
    equal([x["text"] for x in body["errors"]], [
        "document:8:96 groups[0].backends[0].weight: 2000 is out of range, must be 0..1000",
        'document:12:48 listeners[1].protocol: must be one of tcp, udp, not "icmp"',
        "document:13:1 bogus: unknown key; known here: version, node, state_dir, api, workers, sessions, eal, ports, "
        "local_addresses, groups, listeners, snat, eip, metering, cluster"])
    equal(agent.get("/v1/config"), before)


@tap.test
def document_that_is_good__is_told_and_put_in_force(agent):
    generation = agent.get("/v1/generation")["generation"]
    answer, body = agent.call("POST", "/v1/config?dry_run=1", agent.document(6))
    equal((answer.status, body), (200, {"generation": generation, "dry_run": True, "changes": ["backend web/b1: weight 5 -> 6"]}))
    equal(agent.get("/v1/backends")["backends"][0]["weight"], 5)
    answer, body = agent.call("POST", "/v1/config", json.dumps(agent.get("/v1/config")).replace('"weight": 5', '"weight": 6'))
    equal((answer.status, body["changes"]), (200, ["backend web/b1: weight 5 -> 6"]))
    assert body["generation"] > generation
    equal(agent.get("/v1/backends")["backends"][0]["weight"], 6)
    answer, body = agent.call("PUT", "/v1/groups/web/backends/b1/weight", '{"weight": 5}')
    equal((answer.status, body["changes"]), (200, ["backend web/b1: weight 6 -> 5"]))


@tap.test
def sluicectl__shows_every_resource_as_text_and_as_json(agent):
    for command, expected in [("listeners", "http"), ("groups", "maglev"), ("backends", "198.18.2.2"), ("card", "arithmetic"),
                              ("ports", "ports[p0].link"), ("stats", "drops.no_backend  9007199254740993"),
                              ("generation", "listeners"), ("config", '"version": 1')]:
        code, text, errors = agent.ctl(command)
        equal((code, errors), (0, ""))
        assert expected in text, (command, text)
        code, text, errors = agent.ctl(command, "--json")
        equal((code, errors), (0, ""))
        equal(json.loads(text).keys(), agent.get(f"/v1/{command}").keys())


@tap.test
def sluicectl_sessions__tells_the_owner_of_each_direction(agent):
    code, text, _ = agent.ctl("sessions", "--client", "10.0.0.9")
    equal(code, 0)
    words = text.split("\n")[1].split()
    equal(words[-6:], ["card", "9", "540", "software", "9", str(2**40 + 9)])
    code, text, _ = agent.ctl("sessions", "--json")
    equal((code, len(json.loads(text)["sessions"])), (0, 20000))
    code, text, _ = agent.ctl("--json", "sessions", "--limit", "2500", "--listener", "http")
    sessions = json.loads(text)["sessions"]
    equal((code, len(sessions), {x["listener"] for x in sessions}), (0, 2500, {"http"}))
    code, text, _ = agent.ctl("sessions", "--json", "--listener", "none")
    equal((code, json.loads(text)), (0, {"sessions": []}))
    equal(agent.ctl("sessions", "--count"), (0, "20000\n", ""))
    equal(agent.ctl("sessions", "--count", "--json", "--client", "10.0.1.3"), (0, '{"count":1}\n', ""))
    equal(agent.ctl("sessions", "--count", "--limit", "3")[0], 2)
    code, _, errors = agent.ctl("sessions", "--client", "a b&c")
    equal((code, errors), (1, "sluicectl: parameter client must be an address or a prefix\n"))


@tap.test
def sluicectl_apply__prints_each_error_on_a_line(agent):
    path = os.path.join(agent.folder, "bad.yaml")
    with open(path, "w", encoding="ascii") as file:
        file.write(agent.document(2000) + "bogus: 1\n")
    code, text, errors = agent.ctl("apply", path)
    equal((code, text), (1, ""))
    lines = errors.split("\n")
    equal(lines[0], f"{path}:8:96 groups[0].backends[0].weight: 2000 is out of range, must be 0..1000")
    assert lines[1].startswith(f"{path}:13:1 bogus: unknown key"), lines
    equal(lines[2], "sluicectl: the document is refused whole: 2 errors")
    code, _, errors = agent.ctl("apply", "-", document=agent.document().replace("node: lb1", "node: lb2\nworkers: 2"))
    equal(code, 1)
    equal(errors.split("\n")[:2], [
        "stdin: node: differs from what the agent started with: this setting needs a restart",
        "stdin: workers: differs from what the agent started with: this setting needs a restart"])
    code, text, errors = agent.ctl("apply", "-", "--dry-run", document=agent.document(9))
    equal((code, text, errors), (0, "backend web/b1: weight 5 -> 9\nthe document is good; nothing was applied\n", ""))
    code, text, _ = agent.ctl("apply", "-", document=agent.document(8))
    equal((code, text.split("\n")[0]), (0, "backend web/b1: weight 5 -> 8"))
    code, text, _ = agent.ctl("weight", "web", "b1", "5", "--json")
    equal((code, json.loads(text)["changes"]), (0, ["backend web/b1: weight 8 -> 5"]))
    code, _, errors = agent.ctl("weight", "web", "b9", "5")
    equal((code, errors), (1, 'sluicectl: there is no backend "b9" in a group "web"\n'))


@tap.test
def sluicectl__tells_wrong_usage_and_a_missing_agent_apart(agent):
    for arguments in [[], ["dance"], ["listeners", "more"], ["apply"], ["apply", "/nonexistent"], ["weight", "web", "b1"],
                      ["weight", "web", "b1", "x"], ["weight", "web/x", "b1", "1"], ["sessions", "--limit", "0"], ["--colour"],
                      ["node", "leave"], ["cluster", "apply"], ["cluster", "apply", "/nonexistent"], ["node", "drain", "now"], ["node", "drain", "--wait", "x"], ["cluster", "x"]]:
        equal((arguments, agent.ctl(*arguments)[0]), (arguments, 2))
    equal(agent.ctl("--help")[0], 0)
    code, text, errors = agent.ctl("-s", "/nonexistent/api.sock", "card")
    equal((code, text, errors), (3, "", "sluicectl: /nonexistent/api.sock: No such file or directory\n"))
    path = os.path.join(agent.folder, "strange.sock")
    strange = socket.socket(socket.AF_UNIX)
    strange.bind(path)
    strange.listen()

    def answer():
        for garbage in (b"SSH-2.0\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
                        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", b""):
            connection, _ = strange.accept()
            connection.recv(4096)
            connection.sendall(garbage)
            connection.close()

    thread = threading.Thread(target=answer)
    thread.start()
    for _ in range(4):
        code, _, errors = agent.ctl("-s", path, "card")
        equal((code, errors), (1, f"sluicectl: {path}: what answers does not speak HTTP, or stopped in the middle\n"))
    thread.join()


@tap.test
def socket__is_private_guarded_and_replaced_when_stale(agent):
    equal(os.stat(agent.socket).st_mode & 0o777, 0o600)
    second = subprocess.run([AGENT, agent.config, "0"], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    equal(second.returncode, 1)
    assert "Address already in use" in second.stderr, second.stderr
    agent.get("/v1/generation")
    agent.process.kill()
    agent.process.wait()
    assert os.path.exists(agent.socket)
    agent.start()
    agent.get("/v1/generation")
    equal(agent.stop(), 0)
    assert not os.path.exists(agent.socket)


def main():
    if os.environ.get("SLU_TEST_OWN_NETWORK") != "1":
        if os.geteuid() != 0:
            print("1..0 # SKIP a network namespace needs root")
            return 0
        os.environ["SLU_TEST_OWN_NETWORK"] = "1"
        setup = ("ip link set lo up && ip address add 198.18.2.1/32 dev lo && ip address add 198.18.2.2/32 dev lo && "
                 'exec "$0" "$@"')
        os.execvp("unshare", ["unshare", "-n", "sh", "-c", setup, sys.executable, *sys.argv])
    agent = Agent()
    status = tap.run(agent)
    agent.remove()
    return status


if __name__ == "__main__":
    sys.exit(main())
