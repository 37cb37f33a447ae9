#!/usr/bin/env bash
# Looks whether the examples in deploy/ hold: names of settings, what the tools that read them say, and the real binary
# behind the proxies.
#
#   tests/deploy/run.sh [BINARY]
#
# Needs python3. What is not here is not checked, and named: nginx, caddy 2.7 or newer (or the one that CADDY names),
# systemd-analyze, kubectl and kubernetes-validate (PyPI), docker with its plugin compose, python3-yaml.
set -euo pipefail
binary=$(realpath "${1:-$(dirname "$0")/../../target/debug/siamese}")
cd "$(dirname "$0")/../.."
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
not_checked() { echo "NOT CHECKED: $1, because there is no $2 here."; }

python3 tests/deploy/check.py

if command -v systemd-analyze >/dev/null; then
    sed "s|/usr/local/bin/siamese|$binary|" deploy/systemd/siamese.service >"$scratch/siamese.service"
    systemd-analyze verify "$scratch/siamese.service"
    # Of 10, the fewer the safer. 1.2 with systemd 252; what listens cannot have 0.
    systemd-analyze security --offline=yes --threshold=20 --no-pager "$scratch/siamese.service" | tail -n 1
else
    not_checked "the systemd unit" systemd-analyze
fi

if command -v kubectl >/dev/null; then
    kubectl kustomize deploy/kustomize/base >"$scratch/base.yaml"
    kubectl kustomize deploy/cluster/kustomize >"$scratch/cluster.yaml"
    if command -v kubernetes-validate >/dev/null; then
        kubernetes-validate --strict --quiet "$scratch/base.yaml" "$scratch/cluster.yaml"
    else
        not_checked "the shapes of Kubernetes' objects" kubernetes-validate
    fi
else
    not_checked "what Kustomize makes" kubectl
fi

if docker compose version >/dev/null 2>&1; then
    docker compose -f deploy/compose.yaml --profile metrics config --quiet
    QDRANT_API_KEY=some docker compose -f deploy/cluster/compose.yaml --profile keys config --quiet
else
    not_checked "the files of compose" "docker compose"
fi

command -v nginx >/dev/null || not_checked nginx nginx
caddy=${CADDY:-caddy}
command -v "$caddy" >/dev/null && "$caddy" adapt --config deploy/caddy/Caddyfile >/dev/null 2>&1 || {
    not_checked Caddy "caddy 2.7"
    caddy=""
}
if [ -n "$caddy" ]; then
    "$caddy" validate --config deploy/cluster/Caddyfile >"$scratch/caddy.log" 2>&1 || {
        cat "$scratch/caddy.log" >&2
        exit 1
    }
    CADDY=$caddy SIAMESE_BINARY=$binary python3 tests/deploy/test_balancer.py
fi
if command -v nginx >/dev/null || [ -n "$caddy" ]; then
    CADDY=$caddy SIAMESE_BINARY=$binary python3 tests/deploy/test_proxies.py
fi
