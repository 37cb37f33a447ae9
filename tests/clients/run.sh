#!/usr/bin/env bash
# Has our own client for Python and those of other services, as they are on PyPI, talk to the real binary.
#
#   tests/clients/run.sh [BINARY]
#
# Needs python3 with venv, and PyPI for the clients. CLIENTS_VENV names an environment that has them
# already.
set -euo pipefail
binary=$(realpath "${1:-$(dirname "$0")/../../target/debug/siamese}")
cd "$(dirname "$0")"
scratch=$(mktemp -d)
venv=${CLIENTS_VENV:-$scratch/venv}
if [ ! -d "$venv" ]; then
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet -r requirements.txt
fi

port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
"$binary" model pull >/dev/null
reranker=../../crates/encoder/tests/fixtures/models/cross-encoders/bert
"$binary" serve --listen "127.0.0.1:$port" --data "$scratch/data" --reranker "$reranker" 2>"$scratch/log" &
server=$!
trap 'kill "$server" 2>/dev/null; wait "$server" || true; rm -rf "$scratch"' EXIT
for _ in $(seq 60); do
    "$binary" healthcheck --listen "127.0.0.1:$port" >/dev/null 2>&1 && break
    sleep 0.5
done

# A proxy and a hub's offline mode would keep clients from this machine, too.
export NO_PROXY=127.0.0.1 SIAMESE_URL="http://127.0.0.1:$port" SIAMESE_BINARY="$binary"
unset HF_HUB_OFFLINE
"$venv/bin/python" -W ignore -m unittest -v test_clients test_mcp

cd ../../clients/python
"$venv/bin/mypy"
PYTHONPATH=src "$venv/bin/python" -m pytest -q -p no:cacheprovider
