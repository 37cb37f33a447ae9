#!/usr/bin/env bash
# Runs the black-box tests of documents and searches against a service that keeps its documents on a cluster. They are the
# tests that run against a data folder; those that may fail here are listed in differences.txt, each with the entry of
# GET /capabilities that says why. One that fails and is not listed is an error, and so is one that is listed and passes.
#
#   tests/cluster/run.sh PATH_OF_QDRANT tests/cluster/both.sh
set -euo pipefail
cd "$(dirname "$0")/../.."

if [ -z "${SIAMESE_QDRANT_URLS-}" ]; then
    echo "SIAMESE_QDRANT_URLS names no cluster; tests/cluster/run.sh starts one and runs this script" >&2
    exit 2
fi

# The modules of tests/it that are about what every backend does.
modules=(
    aliases answers bad_input collections documents encodings explanations filters generations modes numbers paging passages reranking search
    similarity streaming ways_to_search
)

log=$(mktemp)
trap 'rm -f "$log"' EXIT

cargo build --workspace --bin siamese --features qdrant
export SIAMESE_BINARY=$PWD/target/debug/siamese
export SIAMESE_TEST_BACKEND_QDRANT_URLS=$SIAMESE_QDRANT_URLS
cargo test --workspace --features qdrant --test it --no-fail-fast -- "${modules[@]/%/::}" 2>&1 | tee "$log" || true

grep --text --quiet '^test result: ' "$log"
failed=$(sed -n 's/^test \(.*\) \.\.\. FAILED$/\1/p' "$log" | sort)
listed=$(sed '/^#/d; s/ .*//' tests/cluster/differences.txt | sort)
must_fail=$(sed '/^#/d; / sometimes$/d; s/ .*//' tests/cluster/differences.txt | sort)
unlisted=$(comm -23 <(echo "$failed") <(echo "$listed"))
passed=$(comm -13 <(echo "$failed") <(echo "$must_fail"))
if [ -n "$unlisted$passed" ]; then
    echo "failed, and not in differences.txt: ${unlisted:-none}"
    echo "in differences.txt, and passed or was not run: ${passed:-none}"
    exit 1
fi
echo "all differences are the listed ones"
