#!/usr/bin/python3
"""The faults of a chaos run, drawn from a seed: one a line, `LANE KIND NODE HOLD_MS PAUSE_MS VARIANT [KEY=VALUE ...]`.

Two lanes run beside each other. Those of `hard` take a node away, and the next waits until the cluster is whole again: so one
node at a time, as promised. Those of `soft` disturb what is left: the sync network, wires, etcd, the clocks, the configuration. Kinds of
a lane are dealt like cards: none comes twice before all came once. A lane ends when the run does; its lines are more than
enough for that.

Usage: tests/chaos/plan.py SEED DURATION_S NODES
"""
import random
import sys

HARD = ["node", "agent", "cable", "bird"]
SOFT = ["sync", "delay", "loss", "etcd", "apply", "clock"]
SHORTEST_S = 1.0  # a fault, its hold and its pause together


def variant(draw, kind):
    """Hold in ms, the variant, and what else it needs."""
    if kind == "node":
        return draw.randint(500, 4000), "once", {}
    if kind == "agent":
        return draw.choice([0, 0, draw.randint(200, 4000)]), draw.choice(["once", "once", "flap"]), {"times": draw.randint(2, 3)}
    if kind == "cable":
        # `carrier`: both ends see it; `silent`: frames vanish. `north` alone takes BGP and the clients away.
        return draw.randint(1000, 4000), draw.choice(["carrier", "silent", "north"]), {}
    if kind == "bird":
        return draw.randint(1000, 4000), draw.choice(["kill", "term"]), {}
    if kind == "sync":
        return draw.randint(300, 4000), draw.choice(["out", "in", "both", "all"]), {}
    if kind == "delay":
        # On the sync network so little that what is sent within 20 ms has come within 50: that is what counts.
        where, most_us = draw.choice([("wire", 20000), ("sync", 10000)])
        return draw.randint(1500, 3000), where, {
            "delay_us": draw.randint(1000, most_us), "jitter_us": draw.choice([0, draw.randint(1000, most_us // 2)]),
            "twice_ppm": draw.choice([0, 50000, 300000]), "late_ppm": draw.choice([0, 50000, 200000]), "late_us": draw.randint(2000, most_us)}
    if kind == "loss":
        where = draw.choice(["wire", "sync"])
        return draw.randint(1500, 3000), where, {"loss_ppm": draw.randint(5000, 30000) if where == "wire" else draw.randint(50000, 400000)}
    if kind == "etcd":
        return draw.randint(1000, 6000), draw.choice(["kill", "stop"]), {}
    if kind == "apply":
        return 0, draw.choice(["weights", "listener", "timeouts"]), {}
    # Steps of the wall clock stay as they are; the next one goes on from there.
    return 0, "step", {"step_s": draw.choice([-86400, -3600, -5, 5, 3600, 86400])}


def lane(draw, name, kinds, duration_s, nodes):
    deck, lines = [], []
    for _ in range(int(duration_s / SHORTEST_S) + 1):
        if not deck:
            deck = draw.sample(kinds, len(kinds))
        kind = deck.pop()
        hold_ms, what, keys = variant(draw, kind)
        pause_ms = draw.randint(200, 1500)
        more = "".join(f" {key}={value}" for key, value in keys.items())
        lines.append(f"{name} {kind} {draw.randint(1, nodes)} {hold_ms} {pause_ms} {what}{more}")
    return lines


def plan(seed, duration_s, nodes):
    # Each lane draws from its own numbers: the same seed gives the same faults, however fast the machine is.
    return [line for name, kinds in (("hard", HARD), ("soft", SOFT))
            for line in lane(random.Random(f"{seed} {name}"), name, kinds, duration_s, nodes)]


def main():
    if len(sys.argv) != 4 or not all(word.isdigit() for word in sys.argv[1:]):
        sys.exit(__doc__)
    print("\n".join(plan(*map(int, sys.argv[1:]))))


if __name__ == "__main__":
    main()
