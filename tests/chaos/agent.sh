#!/bin/bash
# Becomes an agent whose clocks are nobody else's: agent.sh NODE COMMAND...
# The wall clock is off by what $LAB/clockN says (clock.c); the monotonic clock began at another time on each node.
node=$1
shift
export SLU_CHAOS_CLOCK=$LAB/clock$node LD_PRELOAD=$LAB_BUILD/tests/chaos/clock.so
exec unshare --time --monotonic $((node * 100000)) --boottime $((node * 100000)) -- "$@"
