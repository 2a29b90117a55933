#!/bin/bash
# Traffic of every kind through the balancer on AF_PACKET ports, without a card.
# Time limit: 300 s
cd "$(dirname "$0")/../.." || exit 1
. tests/e2e/forward.sh plain
