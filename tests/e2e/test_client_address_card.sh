#!/bin/bash
# Client addresses told to backends, through the card.
# Time limit: 240 s
cd "$(dirname "$0")/../.." || exit 1
. tests/e2e/client_address.sh card
