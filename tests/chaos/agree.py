#!/usr/bin/python3
"""Whether every node holds the session of every connection that counts: who lacks one breaks it when its packets come there.

Reads the judges' live subjects (JSON of `stamp tell ... list`, one file each) and asks the nodes. A subject that lacks a session
somewhere is asked for again half a second later: it may have ended, or be on its way.

Usage: tests/chaos/agree.py NODE=SOCKET ... -- FILE ...; prints a line for each session that is missing: PROTOCOL ADDRESS PORT NODE
"""
import json
import sys
import time

from flows import sessions

AGAIN_S = 0.5


def held(nodes):
    """{node: {(protocol, client's address, port)}}"""
    return {node: {(s["protocol"], s["client"]["address"], str(s["client"]["port"])) for s in sessions(path)} for node, path in nodes.items()}


def missing(nodes, subjects):
    """{(*subject, node)} of those that a node lacks now"""
    found = set()
    for node, has in held(nodes).items():
        found |= {(*subject, node) for subject in subjects - has}
    return found


def lacking(nodes, subjects, again_s):
    found = missing(nodes, subjects)
    if found:
        time.sleep(again_s)
        found &= missing(nodes, {row[:3] for row in found})
    return found


def main():
    split = sys.argv.index("--")
    nodes = dict(word.split("=", 1) for word in sys.argv[1:split])
    subjects = set()
    for path in sys.argv[split + 1:]:
        with open(path, encoding="ascii") as file:
            subjects |= {(s["protocol"], *s["local"].rsplit(" ", 1)) for s in json.load(file) if s["counts"]}
    for row in sorted(lacking(nodes, subjects, AGAIN_S)):
        print(*row)


if __name__ == "__main__":
    main()
