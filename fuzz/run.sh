#!/usr/bin/env bash
# Runs targets for so many seconds each, all of them unless some are named:
#
#   fuzz/run.sh [SECONDS] [TARGET..]
#
# Ends with an error if anything was found: a panic, an abort, a check of a target that fails, over 2 GiB of memory or
# over 10 seconds for one input. What did it lies in fuzz/artifacts, and what was reached in fuzz/corpus, both of
# which stay. Needs a nightly toolchain, a C++ compiler, and `cargo install cargo-fuzz`.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${1:-60}
shift || true
targets=("$@")
if [[ ${#targets[@]} == 0 ]]; then
    mapfile -t targets < <(cargo +nightly fuzz list)
fi

# Models and services of the targets keep their threads, which is no leak.
cargo +nightly fuzz build
found=()
for target in "${targets[@]}"; do
    echo "== $target, $seconds s"
    mkdir -p "fuzz/corpus/$target" "fuzz/artifacts/$target"
    cargo +nightly fuzz run "$target" "fuzz/corpus/$target" "fuzz/seeds/$target" -- \
        -max_total_time="$seconds" -rss_limit_mb=2048 -timeout=10 -detect_leaks=0 -print_final_stats=1 || found+=("$target")
done
if [[ ${#found[@]} -gt 0 ]]; then
    echo "FOUND something in: ${found[*]}" >&2
    exit 1
fi
