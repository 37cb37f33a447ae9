#!/usr/bin/env bash
# Makes what a release for Linux consists of, with the profile `dist`:
#
#   deploy/release.sh [FOLDER]        # dist by default; what is in it already is removed
#
#   siamese-VERSION-SYSTEM.tar.gz         the binary without debug symbols, completions, manual pages, licence
#   siamese-VERSION-SYSTEM.debug.tar.gz   its debug symbols: beside the binary, backtraces and debuggers find them
#   siamese-VERSION-...-SYSTEM.whl        the same binary for pip
#   siamese-VERSION.cyclonedx.json        what it is made of (SBOM)
#   SHA256SUMS
#
# Needs Rust, Python 3 with venv, and binutils. Maturin and the linker come from PyPI. The linker is that of zig, because
# it makes a binary for an older glibc than that of this machine: any Linux since 2014 (glibc 2.17) can run it.
set -euo pipefail
cd "$(dirname "$0")/.."
most_bytes=55000000
oldest_glibc=2.17

out=$(realpath -m "${1:-dist}")
system=$(uname -m)-linux-gnu
target=$(uname -m)-unknown-linux-gnu
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1)
name=siamese-$version-$system
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
# What is packed has the time of the last commit, not that of the build.
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct 2>/dev/null || stat -c %Y Cargo.lock)
export SOURCE_DATE_EPOCH
# Messages and backtraces name files of crates, not of this machine.
export RUSTFLAGS="--remap-path-prefix=$PWD=siamese --remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}/registry/src=crates"

pack() { # ARCHIVE FOLDER
    tar --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$SOURCE_DATE_EPOCH" -C "$scratch" -cf - "$2" \
        | gzip -9n >"$out/$1"
}

python3 -m venv "$scratch/tools"
"$scratch/tools/bin/pip" install --quiet maturin==1.16.0 ziglang==0.17.1 wheel==0.48.0
PATH=$scratch/tools/bin:$PATH

(cd deploy/wheel && maturin build --profile dist --zig --target "$target" \
    --compatibility "manylinux_${oldest_glibc/./_}" --out "$scratch/wheel")

# The wheel holds the binary as it was linked. It is taken apart, and put together again with the one without symbols.
wheel unpack --dest "$scratch" "$scratch"/wheel/*.whl
unpacked=$scratch/siamese-$version
binary=$unpacked/siamese-$version.data/scripts/siamese
mkdir -p "$scratch/$name" "$scratch/$name.debug"
objcopy --only-keep-debug --compress-debug-sections=zlib "$binary" "$scratch/$name.debug/siamese.debug"
chmod -x "$scratch/$name.debug/siamese.debug"
(cd "$scratch/$name.debug" && objcopy --strip-all --add-gnu-debuglink=siamese.debug "$binary" "$binary.stripped")
install -m 755 "$binary.stripped" "$scratch/$name/siamese"
mv "$binary.stripped" "$binary"
chmod 755 "$binary"

rm -rf "$out"
mkdir -p "$out"
wheel pack --dest-dir "$out" "$unpacked" >/dev/null
cp "$unpacked/siamese-$version.dist-info/sboms/siamese.cyclonedx.json" "$out/siamese-$version.cyclonedx.json"

for shell in bash zsh fish; do
    mkdir -p "$scratch/$name/completions"
    "$scratch/$name/siamese" completions "$shell" >"$scratch/$name/completions/siamese.$shell"
done
"$scratch/$name/siamese" man-pages "$scratch/$name/man1"
cp LICENSE README.md CHANGELOG.md "$scratch/$name/"
pack "$name.tar.gz" "$name"
pack "$name.debug.tar.gz" "$name.debug"

# What was promised, looked at in what was made.
bytes=$(stat -c %s "$scratch/$name/siamese")
glibc=$(objdump -T "$scratch/$name/siamese" | grep -o 'GLIBC_[0-9.]*' | sort -Vu | tail -n 1)
if [ "$bytes" -gt "$most_bytes" ]; then
    echo "error: the binary has $bytes bytes, more than $most_bytes" >&2
    exit 1
fi
if [ "$(printf '%s\n' "$glibc" "GLIBC_$oldest_glibc" | sort -V | tail -n 1)" != "GLIBC_$oldest_glibc" ]; then
    echo "error: the binary needs $glibc, newer than $oldest_glibc" >&2
    exit 1
fi
python3 -m venv "$scratch/user"
"$scratch/user/bin/pip" install --quiet --no-index "$out"/*.whl
"$scratch/user/bin/siamese" --version

(cd "$out" && sha256sum -- siamese-* >SHA256SUMS)
echo "binary: $bytes bytes, needs $glibc"
ls -l "$out"
