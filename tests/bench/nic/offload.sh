#!/bin/bash
# Rules through rte_flow on the simulated card, in namespaces of their own: prints `name value unit` lines.
#
# usage: offload.sh BUILD_FOLDER
cd "$(dirname "$0")/../../.." || exit 1
. tests/lab/lab.sh

build=${1:-build}
set -e
lab_open
cp "$build/lib/librte_net_sluice.so" "$LAB/"
lab_ns hosts card
for w in 0 1; do
	lab_cable hosts "e$w" card "w$w"
	lab_mute hosts "e$w"
	lab_mute card "w$w"
done
lab_start card card "$build/bin/sluice-nic" --socket "$LAB/nic.sock" --wire 0=packet:w0 --wire 1=packet:w1
lab_until 10 "the card's socket" test -S "$LAB/nic.sock"
lab_in hosts timeout 300 "$build/tests/bench/nic/offload" -l 0 --no-huge -m 256 --no-pci --file-prefix "$LAB_ID" \
	--log-level=lib.eal:error -d "$LAB/librte_net_sluice.so" --vdev "net_sluice0,sock=$LAB/nic.sock" -- e0 e1
