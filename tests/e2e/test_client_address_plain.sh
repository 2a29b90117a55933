#!/bin/bash
# Client addresses told to backends, without any card.
# Time limit: 240 s
cd "$(dirname "$0")/../.." || exit 1
. tests/e2e/client_address.sh plain
