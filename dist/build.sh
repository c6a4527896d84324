#!/bin/bash
# build.sh: builds what is installed, into target/dist/: a package for Debian, one for RPM, a tarball, the list of all that they
# contain (CycloneDX), and the sums of all four. The same sources give the same bytes, wherever they lie.
#
# SOURCE_DATE_EPOCH    the time of all files, in unix seconds. Default: that of the last commit
# DIST_VERSION         the version of the packages. Default: that of Cargo.toml
# DIST_BINARIES        a folder with programs that are built already
# CARGO_PROFILE_RELEASE_LTO=off    builds in a fraction of the time, for trials
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD here=$PWD/dist
out=$root/target/dist
# Programs for the oldest glibc that is in use, that of EL 7.
target=x86_64-unknown-linux-gnu glibc=2.17
export LC_ALL=C TZ=UTC
umask 022
: "${SOURCE_DATE_EPOCH:=$(git log -1 --format=%ct)}"
: "${DIST_VERSION:=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1)}"
export SOURCE_DATE_EPOCH DIST_VERSION
case $DIST_VERSION in *[!0-9.a-z~]* | '') echo "build.sh: $DIST_VERSION is no version" >&2; exit 2 ;; esac
programs=$(cd src/bin && printf '%s\n' *.rs | sed 's/\.rs$//' | sort)

# In a shell of its own: what is built for this machine knows nothing of these settings.
build_programs() (
  "$here/tools.sh" "$root/target/dist-tools"
  export PATH=$root/target/dist-tools/bin:$PATH PYTHONPATH=$root/target/dist-tools
  export CARGO_ZIGBUILD_PYTHON_PATH=/usr/bin/python3
  # No path of this machine goes into a program.
  cargo=${CARGO_HOME:-$HOME/.cargo} sysroot=$(rustc --print sysroot)
  export RUSTFLAGS="--remap-path-prefix=$root=/gridmon --remap-path-prefix=$cargo=/cargo --remap-path-prefix=$sysroot=/rust"
  export CFLAGS="-ffile-prefix-map=$root=/gridmon -ffile-prefix-map=$cargo=/cargo"
  cargo zigbuild --quiet --locked --release --bins --target "$target.$glibc" --target-dir "$root/target/dist-build"
)

rm -rf "$out" && mkdir -p "$out"
binaries=${DIST_BINARIES:-}
[ -n "$binaries" ] || { build_programs; binaries=$root/target/dist-build/$target/release; }
make --no-print-directory --silent manuals
/usr/bin/python3 "$here/contents.py" "$target" "$out/sbom.json" "$out/licences.txt"

tree=$out/tree
# shellcheck disable=SC2086
"$here/tree.sh" "$tree" "$binaries" $programs
install -m 0644 "$out/licences.txt" "$tree/usr/share/doc/gridmon/LICENCES"
install -m 0644 "$out/sbom.json" "$tree/usr/share/doc/gridmon/sbom.cdx.json"
find "$tree" -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +

"$here/deb.sh" "$tree" "$out/gridmon_${DIST_VERSION}_amd64.deb"
"$here/rpm.sh" "$tree" "$out/gridmon-$DIST_VERSION-1.x86_64.rpm"
"$here/tarball.sh" "$tree" "$out/gridmon-$DIST_VERSION-x86_64.tar.gz"
mv "$out/sbom.json" "$out/gridmon-$DIST_VERSION.cdx.json"
rm -rf "$tree" "$out/licences.txt"
(cd "$out" && sha256sum gridmon[-_]* > SHA256SUMS && cat SHA256SUMS)
