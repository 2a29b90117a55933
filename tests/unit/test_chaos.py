#!/usr/bin/python3
"""What a chaos run is made of (tests/chaos), without a cluster: its plan, its eyes, its clock, its cables. Prints TAP.

Usage: tests/unit/test_chaos.py [build folder]
"""
import collections
import http.server
import importlib.util
import json
import os
import socketserver
import struct
import subprocess
import sys
import tempfile
import threading
import time

BUILD = sys.argv[1] if len(sys.argv) > 1 else os.environ.get("B", "build")


def load(name):
    spec = importlib.util.spec_from_file_location(name, f"tests/chaos/{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


sys.dont_write_bytecode = True  # nothing is left in the tree
sys.path.insert(0, "tests/chaos")
import tap
plan, flows, unasked, agree = load("plan"), load("flows"), load("unasked"), load("agree")


def equal(got, wanted):
    assert got == wanted, f"{got!r} instead of {wanted!r}"


@tap.test
def plan__is_the_same_for_a_seed_and_another_for_another():
    equal(plan.plan(7, 60, 3), plan.plan(7, 60, 3))
    assert plan.plan(7, 60, 3) != plan.plan(8, 60, 3)


@tap.test
def plan_of_a_longer_run__begins_as_the_shorter_one():
    longer = plan.plan(7, 600, 3)
    for lane in ("hard", "soft"):
        shorter = [line for line in plan.plan(7, 60, 3) if line.startswith(lane)]
        equal([line for line in longer if line.startswith(lane)][: len(shorter)], shorter)


@tap.test
def plan__deals_every_kind_before_one_comes_again():
    for seed in range(20):
        for lane, kinds in (("hard", plan.HARD), ("soft", plan.SOFT)):
            dealt = [line.split()[1] for line in plan.plan(seed, 60, 3) if line.startswith(lane)]
            for start in range(0, len(dealt) - len(kinds), len(kinds)):
                equal(sorted(dealt[start: start + len(kinds)]), sorted(kinds))


@tap.test
def plan__draws_every_node_and_every_variant():
    seen, nodes = collections.defaultdict(set), set()
    for line in plan.plan(1, 2000, 3):
        _, kind, node, hold_ms, pause_ms, variant, *_ = line.split()
        seen[kind].add(variant)
        nodes.add(int(node))
        assert 0 <= int(hold_ms) <= 6000 and 200 <= int(pause_ms) <= 1500, line
    equal(nodes, {1, 2, 3})
    equal({kind: len(variants) for kind, variants in seen.items()},
          {"node": 1, "agent": 2, "cable": 3, "bird": 2, "sync": 4, "delay": 2, "loss": 2, "etcd": 2, "apply": 3, "clock": 1})


@tap.test
def plan__leaves_the_sync_network_within_what_counts_as_up():
    for line in plan.plan(1, 3000, 3):
        words = line.split()
        if words[1] == "delay" and words[5] == "sync":
            keys = {k: int(v) for k, v in (word.split("=") for word in words[6:])}
            # 20 ms until it is sent, and on the way.
            assert 20000 + keys["delay_us"] + keys["jitter_us"] + keys["late_us"] < 50000, line


class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps({"sessions": self.server.answers.pop(0)}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass

    def address_string(self):
        return "unix"


class Agent(socketserver.UnixStreamServer):
    """Answers of an agent's API, one after the other."""

    def __init__(self, path, answers):
        super().__init__(path, Answer)
        self.answers = answers
        threading.Thread(target=self.serve_forever, daemon=True).start()


def session(port, request, reply, request_owner="software", reply_owner="software"):
    return {"protocol": "tcp", "client": {"address": "198.18.3.10", "port": port}, "vip": {"address": "198.18.10.1", "port": 4001},
            "request": {"owner": request_owner, "packets": request, "bytes": 0}, "reply": {"owner": reply_owner, "packets": reply, "bytes": 0}}


@tap.test
def agree__names_who_lacks_a_session_of_a_connection_twice():
    with tempfile.TemporaryDirectory() as folder:
        paths = {n: os.path.join(folder, n) for n in ("n1", "n2")}
        whole = [session(port, 1, 1) for port in (1, 2, 3)]
        agents = [Agent(paths["n1"], [whole, whole]), Agent(paths["n2"], [whole[:1], whole[:2]])]
        subjects = {("tcp", "198.18.3.10", str(port)) for port in (1, 2, 3)}
        equal(agree.lacking(paths, subjects, 0), {("tcp", "198.18.3.10", "3", "n2")})  # 2 was only on its way
        equal([agent.answers for agent in agents], [[], []])


@tap.test
def agree__everybody_has_everything__is_asked_once():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "n1")
        agent = Agent(path, [[session(1, 1, 1), session(2, 1, 1)], []])
        equal(agree.lacking({"n1": path}, {("tcp", "198.18.3.10", "1")}, 0), set())
        equal(len(agent.answers), 1)


@tap.test
def carriers__are_the_nodes_whose_counters_grow():
    with tempfile.TemporaryDirectory() as folder:
        paths = {n: os.path.join(folder, n) for n in ("n1", "n2", "n3")}
        agents = [
            Agent(paths["n1"], [[session(1, 10, 10), session(2, 5, 5), session(3, 1, 1)],
                                [session(1, 14, 13, "card", "card"), session(2, 5, 9), session(3, 1, 1)]]),
            Agent(paths["n2"], [[session(2, 90, 7)], [session(2, 94, 7, "card"), session(4, 3, 3)]]),
        ]
        file = os.path.join(folder, "sample.json")
        flows.sample(file, paths)  # n3 is dead
        found = {flow.split()[2]: who for flow, who in flows.load(file).items()}
        for agent in agents:
            agent.shutdown()
            agent.server_close()
    equal(found, {"1": {"request": "n1", "reply": "n1", "cards": ["n1"]}, "2": {"request": "n2", "reply": "n1", "cards": ["n2"]},
                  "3": {"request": None, "reply": None, "cards": []}, "4": {"request": "n2", "reply": "n2", "cards": []}})


@tap.test
def comparison__counts_what_moved_what_is_split_and_what_the_card_had():
    def flow(request, reply, *cards):
        return {"request": request, "reply": reply, "cards": list(cards)}

    before = {"a": flow("n1", "n1", "n1"), "b": flow("n1", "n2", "n1", "n2"), "c": flow("n2", "n2"), "d": flow("n3", "n3", "n3")}
    after = {"a": flow("n2", "n1"), "b": flow("n1", "n2"), "c": flow("n2", None), "e": flow("n1", "n1")}
    equal(flows.compare(before, after, "n1"), (1, 2, 2))
    equal(flows.compare(before, before, "n3"), (0, 1, 1))


@tap.test
def clock_of_a_preloaded_process__steps_while_it_runs_and_nobody_elses_does():
    with tempfile.NamedTemporaryFile() as file:
        file.write(struct.pack("<q", 0))
        file.flush()
        program = "import sys, time\nfor _ in sys.stdin: print(time.time(), time.monotonic(), flush=True)"
        child = subprocess.Popen(["/usr/bin/python3", "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                 env=dict(os.environ, SLU_CHAOS_CLOCK=file.name, LD_PRELOAD=os.path.abspath(f"{BUILD}/tests/chaos/clock.so")))

        def ask():
            child.stdin.write("\n")
            child.stdin.flush()
            return map(float, child.stdout.readline().split())

        for offset in (0, 3600, -86400):
            subprocess.run(["bash", "-c", f". tests/chaos/faults.sh; LAB={os.path.dirname(file.name)}; ln -f {file.name} $LAB/clock77; "
                            f"chaos_write_clock 77 {offset}; rm $LAB/clock77"], check=True)
            wall, monotonic = ask()
            assert abs(wall - time.time() - offset) < 1, (offset, wall, time.time())
            assert abs(monotonic - time.monotonic()) < 1, monotonic
        child.stdin.close()
        child.wait()
        child.stdout.close()


@tap.test
def monotonic_clock_of_an_agent__began_at_another_time():
    program = "import time; print(time.monotonic())"
    out = subprocess.run(["tests/chaos/agent.sh", "2", "/usr/bin/python3", "-c", program], check=True, capture_output=True, text=True,
                         env=dict(os.environ, LAB="/nonexistent", LAB_BUILD=os.path.abspath(BUILD))).stdout
    assert abs(float(out) - time.monotonic() - 200000) < 5, out


@tap.test
def next_hops_that_nobody_took_away__are_told_from_those_of_a_fault():
    def state(second, nodes):
        return [f"[2026-11-23T20:00:{second:02}.500000] 198.18.10.1 proto bird metric 32 "] + [
            f"\tnexthop via 198.18.1.1{node} dev north weight 1 " for node in nodes] if len(nodes) > 1 else [
            f"[2026-11-23T20:00:{second:02}.500000] 198.18.10.1 via 198.18.1.1{nodes[0]} dev north proto bird metric 32 "]

    lines = (state(1, [1, 2, 3]) + state(10, [1, 3]) + ["[2026-11-23T20:00:11.000000] 198.18.65.0/24 via 198.18.2.13 dev south proto bird metric 32"]
             + state(20, [3]) + ["[2026-11-23T20:00:21.000000] Deleted 198.18.10.1 via 198.18.1.13 dev north proto bird metric 32 "] + state(22, [1, 2, 3]) + state(40, [2, 3]))
    begin = unasked.datetime.datetime.fromisoformat("2026-11-23T20:00:00").timestamp()
    faults = [f"{begin + 9} {begin + 30} 2", f"{begin + 39} {begin + 45} 1"]
    equal([(round(when - begin, 1), node) for when, node in unasked.unasked(lines, faults, "198.18.10.1")], [(20.5, 1)])


@tap.test
def sync_lane__waits_while_a_node_joins_and_a_node_waits_while_sync_is_cut():
    script = """
        eval "$(sed -n '/^may_begin()/,/^lane_begin()/p' tests/chaos/run.sh | sed '$d')"
        declare -A LANE_STATE=([hard]=return [soft]=hold) LANE_FAULT=([soft]="$1")
        may_begin soft "$1" && echo begins
        may_heal hard && echo heals
        LANE_STATE[hard]=hold LANE_STATE[soft]=return
        may_begin soft "$1" && echo begins-in-hold
        may_heal hard && echo heals-later"""
    for fault, wanted in (("sync 2 out", ["begins-in-hold", "heals-later"]), ("loss 1 sync loss_ppm=5", ["begins-in-hold", "heals-later"]),
                          ("loss 1 wire loss_ppm=5", ["begins", "heals", "begins-in-hold", "heals-later"]),
                          ("clock 1 step step_s=5", ["begins", "heals", "begins-in-hold", "heals-later"])):
        out = subprocess.run(["bash", "-c", script, "test", fault], check=True, capture_output=True, text=True).stdout
        equal(out.split(), wanted)


def main():
    if os.geteuid() != 0:
        print("1..0 # SKIP a time namespace needs root")
        return 0
    return tap.run()


if __name__ == "__main__":
    sys.exit(main())
