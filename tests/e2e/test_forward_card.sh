#!/bin/bash
# Traffic of every kind through the balancer on the card.
# Time limit: 300 s
cd "$(dirname "$0")/../.." || exit 1
. tests/e2e/forward.sh card
