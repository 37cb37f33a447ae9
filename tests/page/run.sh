#!/usr/bin/env bash
# Walks through the page in a headless Chromium, against the real binary.
#
#   tests/page/run.sh [BINARY]
#   SCREENSHOTS=DIR tests/page/run.sh [BINARY]    # and leaves pictures of every view, light, dark and narrow
#
# Needs python3 with venv, PyPI for playwright, and a chromium: Debian's, or the one that CHROMIUM names. PAGE_VENV names an
# environment that has playwright already.
set -euo pipefail
binary=$(realpath "${1:-$(dirname "$0")/../../target/debug/siamese}")
cd "$(dirname "$0")"
CHROMIUM=${CHROMIUM:-$(command -v chromium || command -v chromium-browser || command -v google-chrome || true)}
if [ -z "$CHROMIUM" ]; then
    echo "NOT CHECKED: the page, because there is no chromium here (apt-get install chromium)." >&2
    exit 0
fi
export CHROMIUM
scratch=$(mktemp -d)
servers=()
finish() {
    for server in "${servers[@]}"; do kill "$server" 2>/dev/null || true; wait "$server" || true; done
    rm -rf "$scratch"
}
trap finish EXIT
venv=${PAGE_VENV:-$scratch/venv}
if [ ! -d "$venv" ]; then
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet -r requirements.txt
fi

free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}
# Starts a service on its own folder of data, and says where.
serve() {
    local port
    port=$(free_port)
    "$binary" serve --listen "127.0.0.1:$port" --data "$scratch/$1" 2>"$scratch/$1.log" &
    servers+=($!)
    for _ in $(seq 60); do
        "$binary" healthcheck --listen "127.0.0.1:$port" >/dev/null 2>&1 && break
        sleep 0.5
    done
    url=http://127.0.0.1:$port
}

"$binary" model pull >/dev/null
serve open
OPEN_URL=$url
"$binary" ingest --url "$OPEN_URL" ../../crates/cli/demo/corpus.jsonl >/dev/null
ADMIN_KEY=$("$binary" key create admin --scope admin --data "$scratch/closed")
WRITE_KEY=$("$binary" key create write --scope write --data "$scratch/closed")
SEARCH_KEY=$("$binary" key create search --scope search --data "$scratch/closed")
serve closed
export OPEN_URL ADMIN_KEY SEARCH_KEY WRITE_KEY CLOSED_URL=$url
NO_PROXY=127.0.0.1 "$venv/bin/python" -m unittest -v test_page
