#!/bin/bash
# programs.sh [agent]: builds the programs of both packages, or only that of gridmon-agent, into target/dist-build, and prints the
# folder. The programs of gridmon need glibc, 2.17 or newer. The small qagent, `gridmon-agent` there, has its C library (musl)
# in it and needs nothing: a library that others do not use would be half of its memory.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD build=$PWD/target/dist-build
# The oldest glibc that is in use is that of EL 7.
host=x86_64-unknown-linux-gnu glibc=2.17 alone=x86_64-unknown-linux-musl
dist/tools.sh "$root/target/dist-tools" >&2
[ -d "$(rustc --print target-libdir --target $alone)" ] || rustup target add $alone >&2
export PATH=$root/target/dist-tools/bin:$PATH PYTHONPATH=$root/target/dist-tools
export CARGO_ZIGBUILD_PYTHON_PATH=/usr/bin/python3
# No path of this machine goes into a program.
cargo=${CARGO_HOME:-$HOME/.cargo} sysroot=$(rustc --print sysroot)
paths="--remap-path-prefix=$root=/gridmon --remap-path-prefix=$cargo=/cargo --remap-path-prefix=$sysroot=/rust"
export CFLAGS="-ffile-prefix-map=$root=/gridmon -ffile-prefix-map=$cargo=/cargo"
zigbuild() { cargo zigbuild --quiet --locked --target-dir "$build" "$@" >&2; }

[ "${1:-}" = agent ] || RUSTFLAGS=$paths zigbuild --release --bins --target "$host.$glibc"
# Without position-independent code nothing is rewritten at the start, which would be a third of a megabyte of its own.
RUSTFLAGS="$paths -C relocation-model=static" \
  zigbuild --profile agent --bin qagent --no-default-features --features http,pickles --target $alone
folder=$build/$host/release
mkdir -p "$folder"
cp "$build/$alone/agent/qagent" "$folder/gridmon-agent"
echo "$folder"
