#!/usr/bin/env python3
"""Runs the L4 bench at every size and testpmd rxonly on the same source; prints `name value unit` lines.

usage: run.py BUILD_FOLDER [ROUNDS]

Times are CPU time of the measuring thread, so a busy machine disturbs them through its caches only.
"""
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time

SIZES = [1000, 20000, 1000000, 10000000]
TESTPMD_SECONDS = 3


def size_name(flows):
    return f"{flows // 1000000}M" if flows % 1000000 == 0 else f"{flows // 1000}k"


def bench(build, flows, family, rounds):
    """Lines of one run as {name: (value, unit)}."""
    out = subprocess.run([f"{build}/tests/bench/l4/bench", str(flows), str(family), str(rounds)],
                         check=True, stdout=subprocess.PIPE, text=True).stdout
    return {name: (value, unit) for name, value, unit in (line.split() for line in out.splitlines())}


def cpu_ns_of_threads(pid):
    return {tid: int(open(f"/proc/{pid}/task/{tid}/schedstat").read().split()[0])
            for tid in os.listdir(f"/proc/{pid}/task")}


def received(testpmd):
    testpmd.stdin.write("show port stats 0\n")
    testpmd.stdin.flush()
    for line in testpmd.stdout:
        if "RX-packets:" in line:
            return int(line.split("RX-packets:")[1].split()[0])
    sys.exit("bench-l4: testpmd ended")


def rxonly(plugin, flows, family):
    """ns a packet of testpmd's own loop on the source: receive, free, nothing else."""
    command = ["stdbuf", "-oL", "dpdk-testpmd", "--no-huge", "--no-pci", "--no-telemetry", "--no-shconf", "-l", "0,1", "--log-level=error",
               "-d", plugin, "--vdev", f"net_l4source0,flows={flows},family={family}", "--",
               "-i", "--forward-mode=rxonly", "--total-num-mbufs=4096", "--mbcache=256", "--burst=32"]
    testpmd = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    watchdog = threading.Timer(60, testpmd.kill)
    watchdog.start()
    testpmd.stdin.write("start\n")
    received(testpmd)
    time.sleep(0.5)
    before, packets = cpu_ns_of_threads(testpmd.pid), received(testpmd)
    time.sleep(TESTPMD_SECONDS)
    after, packets = cpu_ns_of_threads(testpmd.pid), received(testpmd) - packets
    testpmd.communicate("quit\n", timeout=20)
    watchdog.cancel()
    # The forwarding thread is the one that used the processor.
    return max(after[tid] - before.get(tid, 0) for tid in after) / packets


def main():
    build, rounds = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 7
    # EAL refuses a plugin below a world-writable folder.
    private = tempfile.mkdtemp(prefix="slu-bench-l4-", dir="/run")
    plugin = shutil.copy(f"{build}/tests/bench/l4/librte_net_l4source.so", private)
    try:
        for family in (4, 6):
            for flows in SIZES:
                key = f"fullnat{'6' if family == 6 else ''}_{size_name(flows)}"
                lines = bench(build, flows, family, rounds)
                print(f"l4.ns_per_packet.{key}", *lines[f"l4.ns_per_packet.{key}"])
                print(f"l4.testpmd_rxonly_ns_per_packet.{key} {rxonly(plugin, flows, family):.1f} ns")
                if key == "fullnat_1M":
                    print("l4.new_connections_per_cpu_s", *lines[f"l4.new_connections_per_cpu_s.{key}"])
                    print("l4.expired_sessions_per_cpu_s", *lines[f"l4.expired_sessions_per_cpu_s.{key}"])
                if key == "fullnat_10M":
                    print("l4.session_bytes", *lines[f"l4.session_bytes.{key}"])
                if key == "fullnat6_10M":
                    print("l4.session_bytes_ipv6", *lines[f"l4.session_bytes.{key}"])
                sys.stdout.flush()
    finally:
        shutil.rmtree(private)


main()
