#!/bin/bash
# Sessions of inside hosts towards the outside, on the card.
# Time limit: 200 s
cd "$(dirname "$0")/../.." || exit 1
. tests/e2e/outbound.sh card
