#!/usr/bin/env bash
# Runs the tests that need a Qdrant cluster: three nodes on loopback, which this script starts and stops.
#
#   tests/cluster/run.sh PATH_OF_QDRANT [COMMAND...]    with nodes of this binary
#   tests/cluster/run.sh http://HOST:PORT,... [COMMAND...]    with nodes that run already, by their addresses for gRPC
#
# Without a command it runs the tests of crates/qdrant, those of `siamese migrate`, then both.sh. A command finds the addresses
# in SIAMESE_QDRANT_URLS, and the processes of the nodes that were started in SIAMESE_QDRANT_PIDS.
set -euo pipefail

usage() {
    sed -n '2,9s/^# \{0,1\}//p' "$0" >&2
    exit 2
}

[ $# -ge 1 ] || usage
qdrant=$1
shift

# Ports: HTTP, gRPC and the one for other nodes, of the first node; the others' are 10 and 20 higher.
first_port=${SIAMESE_QDRANT_FIRST_PORT:-16333}
nodes=3

start_nodes() {
    folder=$(mktemp -d)
    pids=()
    trap stop_nodes EXIT
    local node
    for ((node = 0; node < nodes; node++)); do
        start_node "$node"
    done
    urls=""
    for ((node = 0; node < nodes; node++)); do
        local port=$((first_port + node * 10))
        wait_for "http://127.0.0.1:$port/readyz" "$node"
        urls+="${urls:+,}http://127.0.0.1:$((port + 1))"
    done
}

start_node() {
    local node=$1
    local port=$((first_port + node * 10))
    local own="http://127.0.0.1:$((port + 2))"
    local join=()
    if [ "$node" -gt 0 ]; then
        join=(--bootstrap "http://127.0.0.1:$((first_port + 2))")
    fi
    mkdir -p "$folder/$node"
    (
        cd "$folder/$node"
        QDRANT__SERVICE__HOST=127.0.0.1 \
            QDRANT__SERVICE__HTTP_PORT=$port \
            QDRANT__SERVICE__GRPC_PORT=$((port + 1)) \
            QDRANT__CLUSTER__ENABLED=true \
            QDRANT__CLUSTER__P2P__PORT=$((port + 2)) \
            QDRANT__STORAGE__STORAGE_PATH="$folder/$node/storage" \
            QDRANT__STORAGE__SNAPSHOTS_PATH="$folder/$node/snapshots" \
            QDRANT__TELEMETRY_DISABLED=true \
            QDRANT__LOG_LEVEL=WARN \
            exec "$qdrant" --uri "$own" "${join[@]}" >"$folder/$node/log" 2>&1
    ) &
    pids+=($!)
    # The others ask the first one to take them in.
    if [ "$node" -eq 0 ]; then
        wait_for "http://127.0.0.1:$port/readyz" 0
    fi
}

wait_for() {
    local url=$1 node=$2
    for _ in $(seq 150); do
        if curl --silent --fail --output /dev/null "$url"; then
            return
        fi
        sleep 0.2
    done
    echo "node $node is not ready; its log ends with:" >&2
    tail -n 20 "$folder/$node/log" >&2
    exit 1
}

stop_nodes() {
    kill "${pids[@]}" 2>/dev/null || true
    wait "${pids[@]}" 2>/dev/null || true
    rm -rf "$folder"
}

case $qdrant in
    http://* | https://*)
        urls=$qdrant
        pids=()
        ;;
    *)
        if [ ! -x "$qdrant" ]; then
            echo "$qdrant is no program that can be run" >&2
            exit 2
        fi
        qdrant=$(realpath "$qdrant")
        start_nodes
        ;;
esac

export SIAMESE_QDRANT_URLS=$urls
export SIAMESE_QDRANT_PIDS="${pids[*]-}"
if [ $# -gt 0 ]; then
    "$@"
    exit
fi
cargo test --workspace --features qdrant --test cluster
cargo build --workspace --bin siamese --features qdrant
SIAMESE_BINARY=$(realpath target/debug/siamese) cargo test --workspace --features qdrant --test it -- migration::
"$(dirname "$0")/both.sh"
