#!/usr/bin/python3
"""A cluster past one machine: what N nodes with M million sessions ask of each resource, and where the limits are.

Every node of a sync group holds all sessions of the group; each session is told by its owner when it is new, when it is
established, each third of its time-out, and at its end. What the model takes as measured comes from `make bench-l4` and
`make bench-sync` (--bench FILE reads their lines), everything else is arithmetic that docs/cluster-model.md explains.

Usage: tools/cluster_model.py [--nodes N] [--sessions-million M] [--groups G] [OPTION...]
"""
import argparse
import json
import math
import sys

# ---------------------------------------------------------------------------------------------- the sync datagram
# include/sluice/sync_wire.h; tests/unit/test_cluster_model.py compares with what the agent's code writes.
PAYLOAD_MAX = 1472
HEADER = 8
TRAILER = 2 + 18 + 16  # parameter, fields, tag
SESSION = {4: 36, 6: 72}
EXTENSION = {4: 2 + 16 + 4 + 4, 6: 2 + 16 + 16 + 4}  # FULLNAT: the local address, and the life of revision 2
FRAME = 8 + 20 + 14 + 4 + 20  # UDP, IPv4, Ethernet, checksum, preamble and gap between frames
HEARTBEATS_PER_S = 10
HEARTBEAT_BYTES = HEADER + SESSION[4] + 2 + 3 + TRAILER
NODES_MAX = 8  # of a group


def record_bytes(family):
    """A FULLNAT session in a datagram, padded to where the next may start."""
    return -(-(SESSION[family] + EXTENSION[family]) // 4) * 4


def records_per_datagram(family):
    """The last one is not padded."""
    return (PAYLOAD_MAX - HEADER - TRAILER - (SESSION[family] + EXTENSION[family])) // record_bytes(family) + 1


def mixed(ipv6, of):
    """Mean of a figure over the two families."""
    return (1 - ipv6) * of(4) + ipv6 * of(6)


def datagrams_per_s(records_per_s, flush_s, ipv6):
    """One leaves when it is full, or flush_s after its first record."""
    full = (PAYLOAD_MAX - HEADER - TRAILER) / mixed(ipv6, record_bytes)
    return records_per_s / min(full, 1 + records_per_s * flush_s) if records_per_s > 0 else 0.0


# ------------------------------------------------------------------------------------------------- the router's spread
def threshold_owner(point, nodes):
    """Linux's hash threshold: equal regions in the order of the next hops. point: 0 to 1."""
    return nodes[min(int(point * len(nodes)), len(nodes) - 1)]


def threshold_moves(before, after):
    """Shares of all flows: (moved although their node is there before and after, of nodes that are gone)."""
    edges = sorted({i / len(before) for i in range(len(before) + 1)} | {i / len(after) for i in range(len(after) + 1)})
    moved = gone = 0.0
    for low, high in zip(edges, edges[1:]):
        middle = (low + high) / 2
        old, new = threshold_owner(middle, before), threshold_owner(middle, after)
        if old not in after:
            gone += high - low
        elif old != new:
            moved += high - low
    return moved, gone


def resilient_moves(before, after):
    """A resilient group gives away the buckets of who is gone; who comes gets its share of everybody's."""
    gone = len(set(before) - set(after)) / len(before)
    come = len(set(after) - set(before)) / len(after)
    return come, gone


def worst(moves, before_count, after_count):
    """The worst node to lose, or place to come in, by flows of living nodes that move."""
    larger = list(range(max(before_count, after_count)))
    best = (0.0, 0.0)
    for absent in larger:
        smaller = [node for node in larger if node != absent]
        case = moves(larger, smaller) if before_count > after_count else moves(smaller, larger)
        best = max(best, case)
    return best


# ------------------------------------------------------------------------------------------------- the group's load
class Load:
    """What one node of a group has to bear. sessions: of the whole group."""

    def __init__(self, a, nodes, sessions):
        self.nodes, self.sessions = nodes, sessions
        born = sessions / a.life_s
        told = born * a.synced_share
        # New or established, and the end; a session that lives long is told again each third of its time-out. Jitter
        # draws the interval from (1 - jitter) .. 1 of it.
        refresh_s = a.timeout_s / 3 * (1 - a.jitter / 2)
        refreshes = sessions * a.synced_share / refresh_s if a.life_s > refresh_s else 0.0
        # Whoever forwards a session that is another's tells its owner when it closes, and each third of the time-out.
        reports = (born + sessions / refresh_s) * a.synced_share * self.foreign_share(nodes)
        self.records_per_s = told * a.changes + refreshes + reports
        sent = self.records_per_s / nodes
        received = self.records_per_s * (nodes - 1) / nodes
        self.sent_datagrams_per_s = datagrams_per_s(sent, a.flush_ms / 1000, a.ipv6) + HEARTBEATS_PER_S
        self.received_datagrams_per_s = self.sent_datagrams_per_s * (nodes - 1)
        bytes_of = mixed(a.ipv6, record_bytes)
        overhead = HEADER + TRAILER + FRAME
        sent_bits = 8 * (sent * bytes_of + self.sent_datagrams_per_s * overhead + HEARTBEATS_PER_S * HEARTBEAT_BYTES)
        self.sync_tx_mbit_s = sent_bits / 1e6
        self.sync_rx_mbit_s = sent_bits * (nodes - 1) / 1e6
        self.sync_cpu_share = sent / a.sent_per_cpu_s + received / a.received_per_cpu_s
        self.memory_gib = sessions * a.session_bytes / 2**30
        self.new_cpu_share = born / nodes / a.new_per_cpu_s
        self.join_s = sessions / a.join_per_s
        # The copies of a node that died are adopted; each is told once more by its new owner, spread over a refresh.
        self.takeover_records_per_s = sessions / nodes / refresh_s

    @staticmethod
    def foreign_share(nodes):
        """After a node came or went, sessions whose client's packets and owner are on two nodes: the worst case."""
        if nodes == 1:
            return 0.0
        moved, _ = worst(threshold_moves, nodes - 1, nodes)
        return moved


BOUNDS = [
    # name of the resource, attribute of Load, option with its bound, unit
    ("sync network", "sync_rx_mbit_s", "max_sync_mbit_s", "Mbit/s"),
    ("sync thread", "sync_cpu_share", "max_sync_cpu", "CPUs"),
    ("new sessions", "new_cpu_share", "max_new_cpu", "CPUs"),
    ("memory", "memory_gib", "max_memory_gib", "GiB"),
    ("time to join", "join_s", "max_join_s", "s"),
]


def largest_sessions(a, nodes, attribute, bound):
    """Most sessions of a group of so many nodes that keep one resource within its bound, by bisection."""
    low, high = 0.0, 1.0
    while getattr(Load(a, nodes, high), attribute) <= bound:
        high *= 2
        if high > 1e15:
            return math.inf
    for _ in range(60):
        middle = (low + high) / 2
        if getattr(Load(a, nodes, middle), attribute) <= bound:
            low = middle
        else:
            high = middle
    return low


def limits(a, nodes):
    return {name: largest_sessions(a, nodes, attribute, getattr(a, option)) for name, attribute, option, _ in BOUNDS}


# ------------------------------------------------------------------------------------------------------------- output
def read_bench(paths):
    """Lines `name value unit` of the benchmarks, by name."""
    values = {}
    for path in paths:
        with open(path, encoding="utf-8") as file:
            for line in file:
                words = line.split()
                if len(words) >= 2 and "." in words[0]:
                    try:
                        values[words[0]] = float(words[1])
                    except ValueError:
                        continue
    return values


def measured(a, values):
    """Options that the command line left open come from the benchmarks' lines."""
    def largest(prefix):
        return max((value for name, value in values.items() if name.startswith(prefix)), default=None)

    found = {
        "session_bytes": largest("l4.session_bytes"),
        "new_per_cpu_s": min((v for n, v in values.items() if n.startswith("l4.new_connections_per_cpu_s")), default=None),
        "sent_per_cpu_s": values.get("sync.sessions_sent_per_cpu_s"),
        "received_per_cpu_s": values.get("sync.sessions_received_per_cpu_s"),
        "join_per_s": 1e6 / values["sync.join_1M_s"] if values.get("sync.join_1M_s") else None,
    }
    # Without a measurement: what README.md states for bench-l4, and the least that bench-sync must show.
    assumed = {"session_bytes": 148, "new_per_cpu_s": 1.5e6, "sent_per_cpu_s": 1e6, "received_per_cpu_s": 1e6, "join_per_s": 2e5}
    sources = {}
    for name, assumption in assumed.items():
        if getattr(a, name) is not None:
            sources[name] = "given"
        elif found[name] is not None:
            setattr(a, name, found[name])
            sources[name] = "measured"
        else:
            setattr(a, name, assumption)
            sources[name] = "assumed"
    return sources


def show_million(sessions):
    return "unlimited" if math.isinf(sessions) else f"{sessions / 1e6:.1f}"


def print_text(a, load, sources):
    print(f"{a.groups} group(s) of {a.nodes} nodes, {a.sessions_million:g} million sessions in each; a session lives "
          f"{a.life_s:g} s, time-out {a.timeout_s:g} s, {a.ipv6:.0%} IPv6")
    for name, source in sources.items():
        print(f"  {name:24} {getattr(a, name):>14,.0f}  {source}")
    print(f"  a datagram takes {records_per_datagram(4)} IPv4 or {records_per_datagram(6)} IPv6 sessions "
          f"of {record_bytes(4)} and {record_bytes(6)} bytes")
    print("each node:")
    print(f"  {'records of the group':24} {load.records_per_s:>14,.0f} /s")
    print(f"  {'datagrams sent':24} {load.sent_datagrams_per_s:>14,.0f} /s")
    print(f"  {'datagrams received':24} {load.received_datagrams_per_s:>14,.0f} /s")
    print(f"  {'told anew by a successor':24} {load.takeover_records_per_s:>14,.0f} /s, when a node dies")
    for name, attribute, option, unit in BOUNDS:
        value, bound = getattr(load, attribute), getattr(a, option)
        print(f"  {name:24} {value:>14,.3f} {unit} of {bound:g}{'' if value <= bound else '   TOO MUCH'}")
    print("flows that move between living nodes, and those that a dead node leaves (worst place, of all flows):")
    for name, moves in (("hash threshold", threshold_moves), ("resilient group", resilient_moves)):
        leave, come = worst(moves, a.nodes, a.nodes - 1) if a.nodes > 1 else (0, 1), worst(moves, a.nodes, a.nodes + 1)
        print(f"  {name:24} leaving {leave[0]:6.1%} and {leave[1]:6.1%}, coming {come[0]:6.1%}")
    if a.groups > 1:
        total = a.groups * a.nodes
        moved, gone = worst(threshold_moves, total, total - 1)
        across = crossing_share(a.groups, a.nodes)
        print(f"one route over all {total} nodes instead of one a group: {moved + gone:.1%} of flows move when a node "
              f"leaves, and {across:.1%} of all come to a group that has no copy of them: lost")
    print("most sessions of a group, in millions, within each bound:")
    print("  nodes  " + "  ".join(f"{name:>13}" for name, *_ in BOUNDS) + "   all groups")
    for nodes in range(2, NODES_MAX + 1):
        row = limits(a, nodes)
        least = min(row.values())
        print(f"  {nodes:5}  " + "  ".join(f"{show_million(row[name]):>13}" for name, *_ in BOUNDS)
              + f"   {show_million(least * a.groups)}, by {min(row, key=row.get)}")


def crossing_share(groups, nodes):
    """Flows that reach another group when the worst node of all leaves one route over every group's nodes."""
    everyone = [(group, node) for group in range(groups) for node in range(nodes)]
    share = 0.0
    for absent in everyone:
        rest = [node for node in everyone if node != absent]
        edges = sorted({i / len(everyone) for i in range(len(everyone) + 1)} | {i / len(rest) for i in range(len(rest) + 1)})
        crossing = sum(high - low for low, high in zip(edges, edges[1:])
                       if threshold_owner((low + high) / 2, everyone)[0] != threshold_owner((low + high) / 2, rest)[0])
        share = max(share, crossing)
    return share


def print_json(a, load, sources):
    rows = {str(nodes): {k: (None if math.isinf(v) else v) for k, v in limits(a, nodes).items()} for nodes in range(2, NODES_MAX + 1)}
    print(json.dumps({"nodes": a.nodes, "sessions": load.sessions, "sources": sources, "load": vars(load), "limits": rows}))


def share(text):
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError("must be 0 to 1")
    return value


def positive(text):
    value = float(text)
    if not 0 < value < 1e15:
        raise argparse.ArgumentTypeError("must be more than 0")
    return value


def options(arguments):
    p = argparse.ArgumentParser(description="limits of a cluster past one machine", usage=__doc__)
    p.add_argument("--nodes", type=int, choices=range(1, NODES_MAX + 1), default=3, help="of a group")
    p.add_argument("--groups", type=int, choices=range(1, 65), default=1)
    p.add_argument("--sessions-million", type=positive, default=10, help="of a group")
    p.add_argument("--life-s", type=positive, default=60, help="of a session, mean")
    p.add_argument("--timeout-s", type=positive, default=900, help="of an established session")
    p.add_argument("--synced-share", type=share, default=1, help="of the sessions live long enough to be told")
    p.add_argument("--changes", type=positive, default=2, help="records of a session beside refreshes: begin and end")
    p.add_argument("--jitter", type=share, default=0.25)
    p.add_argument("--ipv6", type=share, default=0.5)
    p.add_argument("--flush-ms", type=positive, default=10)
    for name, what in (("session-bytes", "memory of a session"), ("new-per-cpu-s", "new sessions"), ("sent-per-cpu-s", "told"),
                       ("received-per-cpu-s", "taken"), ("join-per-s", "fed to a joining node")):
        p.add_argument(f"--{name}", type=positive, help=f"measured: {what}")
    p.add_argument("--bench", action="append", default=[], metavar="FILE", help="output of make bench-l4 or bench-sync")
    p.add_argument("--max-sync-mbit-s", type=positive, default=5000, help="half of a 10 Gbit/s port")
    p.add_argument("--max-sync-cpu", type=positive, default=0.7, help="of the one sync thread")
    p.add_argument("--max-new-cpu", type=positive, default=8, help="cores for new sessions")
    p.add_argument("--max-memory-gib", type=positive, default=64)
    p.add_argument("--max-join-s", type=positive, default=60)
    p.add_argument("--json", action="store_true")
    return p.parse_args(arguments)


def main():
    a = options(sys.argv[1:])
    try:
        sources = measured(a, read_bench(a.bench))
    except OSError as error:
        sys.exit(f"cluster_model: {error.filename}: {error.strerror}")
    load = Load(a, a.nodes, a.sessions_million * 1e6)
    if a.json:
        print_json(a, load, sources)
    else:
        print_text(a, load, sources)


if __name__ == "__main__":
    main()
