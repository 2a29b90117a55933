#!/bin/bash
# Sessions of inside hosts towards the outside, without a card.
# Time limit: 200 s
cd "$(dirname "$0")/../.." || exit 1
. tests/e2e/outbound.sh plain
