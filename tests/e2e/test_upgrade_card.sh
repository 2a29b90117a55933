#!/bin/bash
# One node on a card is upgraded in place under load: the new agent takes over from the old one.
# Time limit: 150 s
cd "$(dirname "$0")/../.." || exit 1
. tests/e2e/upgrade.sh card
upgrade_test
