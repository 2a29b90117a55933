#!/usr/bin/python3
"""Which node carries which direction of each flow, and whether a card does it.

  flows.py sample FILE NODE=SOCKET ...   asks the agents twice, SECONDS apart; whose counter grows carries it
  flows.py compare BEFORE AFTER NODE     prints three numbers: flows of which a direction moved to another node, flows whose two
                                         directions are on two nodes after it, flows that NODE's card carried before it

A node that does not answer carries nothing.
"""
import http.client
import json
import socket
import sys
import time

SECONDS = 0.7


class Connection(http.client.HTTPConnection):
    """HTTP over a UNIX socket."""

    def __init__(self, path):
        super().__init__("sluice", timeout=2)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def sessions(path):
    connection = Connection(path)
    try:
        connection.request("GET", "/v1/sessions?limit=0")
        return json.loads(connection.getresponse().read())["sessions"]
    except (OSError, ValueError, http.client.HTTPException):
        return []
    finally:
        connection.close()


def counters(nodes):
    """{flow: {node: (packets of the request, of the reply, card carries the request, the reply)}}"""
    found = {}
    for node, path in nodes.items():
        for s in sessions(path):
            flow = "{} {} {} {} {}".format(s["protocol"], s["client"]["address"], s["client"]["port"], s["vip"]["address"], s["vip"]["port"])
            found.setdefault(flow, {})[node] = (s["request"]["packets"], s["reply"]["packets"],
                                                s["request"]["owner"] == "card", s["reply"]["owner"] == "card")
    return found


def carrier(before, after, way):
    """The node whose counter of one direction grew most, and whether its card does it; None: nobody's grew."""
    grown = {node: now[way] - before.get(node, (0, 0))[way] for node, now in after.items()}
    node = max(grown, key=grown.get, default=None)
    if node is None or grown[node] <= 0:
        return None, False
    return node, after[node][2 + way]


def sample(path, nodes):
    before = counters(nodes)
    time.sleep(SECONDS)
    after = counters(nodes)
    flows = {}
    for flow, now in after.items():
        request, request_card = carrier(before.get(flow, {}), now, 0)
        reply, reply_card = carrier(before.get(flow, {}), now, 1)
        flows[flow] = {"request": request, "reply": reply, "cards": sorted({n for n, c in ((request, request_card), (reply, reply_card)) if c})}
    with open(path, "w", encoding="ascii") as file:
        json.dump(flows, file)


def compare(before, after, node):
    moved = split = on_card = 0
    for flow, old in before.items():
        on_card += node in old["cards"]
        new = after.get(flow)
        if new is not None:
            moved += any(old[way] and new[way] and old[way] != new[way] for way in ("request", "reply"))
    for new in after.values():
        split += bool(new["request"] and new["reply"] and new["request"] != new["reply"])
    return moved, split, on_card


def load(path):
    with open(path, encoding="ascii") as file:
        return json.load(file)


def main():
    if len(sys.argv) > 3 and sys.argv[1] == "sample":
        sample(sys.argv[2], dict(word.split("=", 1) for word in sys.argv[3:]))
    elif len(sys.argv) == 5 and sys.argv[1] == "compare":
        print(*compare(load(sys.argv[2]), load(sys.argv[3]), sys.argv[4]))
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
