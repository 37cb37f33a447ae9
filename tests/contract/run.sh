#!/usr/bin/env bash
# Sends requests made from the API's description to the real binary, valid ones and others, and
# checks that status, headers and bodies are those that the description promises.
#
#   tests/contract/run.sh [BINARY]
#   WITH_KEY=1 tests/contract/run.sh [BINARY]    # a service that asks for keys, and also requests without one
#
# Needs python3 with venv, and PyPI for schemathesis.
set -euo pipefail
binary=$(realpath "${1:-$(dirname "$0")/../../target/debug/siamese}")
cd "$(dirname "$0")"
scratch=$(mktemp -d)
python3 -m venv "$scratch/venv"
"$scratch/venv/bin/pip" install --quiet schemathesis==4.32.5

port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
url=http://127.0.0.1:$port
"$binary" model pull >/dev/null
reranker=../../crates/encoder/tests/fixtures/models/cross-encoders/bert
# Every request for a job starts one, and they are told to wait by a 503 when there are too many.
export SIAMESE__JOBS__MAX_UNFINISHED=100000
options=()
if [ -n "${WITH_KEY:-}" ]; then
    key=$("$binary" key create contract --scope admin --data "$scratch/data")
    # Requests that are made without the key on purpose are thrown away where they have one, which the tool may
    # find too many.
    options=(--header "Authorization: Bearer $key" --suppress-health-check filter_too_much)
fi
"$binary" serve --listen "127.0.0.1:$port" --data "$scratch/data" --reranker "$reranker" 2>"$scratch/log" &
server=$!
trap 'kill "$server" 2>/dev/null; wait "$server" || true; rm -rf "$scratch"' EXIT
for _ in $(seq 60); do
    "$binary" healthcheck --listen "127.0.0.1:$port" >/dev/null 2>&1 && break
    sleep 0.5
done

"$scratch/venv/bin/schemathesis" --config-file schemathesis.toml run "$url/openapi.json" \
    --phases coverage,fuzzing --max-examples 20 --seed 1 --generation-database none \
    --request-timeout 60 "${options[@]}"
