#!/bin/sh
# Starts a node on a port of this machine, to try several of them on one: sh node.sh 5001. On machines of their own, nodes are services.
set -eu
set -a
. ./registry.env
set +a
REGISTRY_HTTP_ADDR=127.0.0.1:$1 holdfast serve config.yml >>"node-$1.log" 2>&1 &
echo $! >"node-$1.pid"
curl --silent --show-error --fail --retry 300 --retry-delay 1 --retry-all-errors --output /dev/null "http://127.0.0.1:$1/readyz" 2>/dev/null || {
    tail -n 1 "node-$1.log" >&2
    exit 1
}
