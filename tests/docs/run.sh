#!/usr/bin/env bash
# Runs the shell commands of README.md and docs/ against the real binary, each page on a fresh service, and looks at links.
#
#   tests/docs/run.sh [BINARY] [PAGE..]
#
# Needs python3 and curl. pages.py says what a page may say to it.
set -euo pipefail
binary=$(realpath "${1:-$(dirname "$0")/../../target/debug/siamese}")
shift || true
"$binary" model pull >/dev/null
python3 "$(dirname "$0")/links.py"
exec python3 "$(dirname "$0")/pages.py" "$binary" "$@"
