#!/usr/bin/python3
"""Next hops that the router lost although nobody took their node away: a node, or the machine, was too slow.

Usage: unasked.py ROUTES FAULTS VIP

ROUTES is what `ip -ts monitor route` said; FAULTS has a line for each fault of the hard lane, `BEGIN_S END_S NODE`; VIP is the
listener whose next hops count. Prints a line for each: the time, and the node.
"""
import datetime
import re
import sys

HEAD = re.compile(r"\[(\S+)\](?:\[ROUTE\])? ?(Deleted )?(\S+)(.*)")
HOP = re.compile(r"\bvia (?:198\.18\.1\.|fd00:1::)1(\d)\b")


def changes(lines, vip):
    """(time, nodes that the route has from then on); a route that is deleted has none."""
    current = None
    for line in lines:
        head = HEAD.match(line)
        if head:
            if current:
                yield current
            when, deleted, target, rest = head.groups()
            current = None
            if target == vip:
                hops = set() if deleted else set(map(int, HOP.findall(rest)))
                current = (datetime.datetime.fromisoformat(when).timestamp(), hops)
        elif current and "nexthop" in line:
            current[1].update(map(int, HOP.findall(line)))
    if current:
        yield current


def unasked(route_lines, fault_lines, vip):
    faults = [tuple(map(float, line.split())) for line in fault_lines]
    before = set()
    for when, hops in changes(route_lines, vip):
        # An update is a deletion and a new route within the same moment, or a new route alone.
        if not hops:
            continue
        for node in sorted(before - hops):
            if not any(begin <= when <= end and node == int(hit) for begin, end, hit in faults):
                yield when, node
        before = hops


def main():
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    with open(sys.argv[1], encoding="utf-8") as routes, open(sys.argv[2], encoding="utf-8") as faults:
        for when, node in unasked(routes.read().splitlines(), faults.read().splitlines(), sys.argv[3]):
            print(f"{when:.3f} n{node}")


if __name__ == "__main__":
    main()
