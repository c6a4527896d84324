#!/bin/bash
# build.sh: builds what is installed, into target/dist/: of all programs, and of the small agent alone, a package for Debian, one for
# RPM, a tarball, and the list of all that they contain (CycloneDX); and the sums of these. The same sources give the same bytes,
# wherever they lie.
#
# SOURCE_DATE_EPOCH    the time of all files, in unix seconds. Default: that of the last commit
# DIST_VERSION         the version of the packages. Default: that of Cargo.toml
# DIST_BINARIES        a folder with programs that are built already, as programs.sh prints it
# DIST_MANUALS         a folder with their manual pages and completions, as `make manuals` makes it
# CARGO_PROFILE_RELEASE_LTO=off    builds in a fraction of the time, for trials; CARGO_PROFILE_AGENT_LTO=off the same for the agent
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD here=$PWD/dist
out=$root/target/dist
export LC_ALL=C TZ=UTC
umask 022
: "${SOURCE_DATE_EPOCH:=$(git log -1 --format=%ct)}"
: "${DIST_VERSION:=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1)}"
export SOURCE_DATE_EPOCH DIST_VERSION
case $DIST_VERSION in *[!0-9.a-z~]* | '') echo "build.sh: $DIST_VERSION is no version" >&2; exit 2 ;; esac
programs=$(cd src/bin && printf '%s\n' *.rs | sed 's/\.rs$//' | sort)

rm -rf "$out" && mkdir -p "$out"
# In a process of its own: what is built for this machine knows nothing of its settings.
binaries=${DIST_BINARIES:-$("$here/programs.sh")}
[ -n "${DIST_MANUALS:-}" ] || make --no-print-directory --silent manuals
# What the list of contents says of the C library, also where the programs are built already.
"$here/tools.sh" "$root/target/dist-tools" >&2
# The small agent under its own name.
small=$out/small
mkdir "$small" && cp "$binaries/gridmon-agent" "$small/qagent"

# pack PACKAGE BINARIES PROGRAMS TARGET FEATURES…: makes all files of a package.
pack() {
  local name=$1 binaries=$2 programs=$3 target=$4 tree=$out/tree
  shift 4
  /usr/bin/python3 "$here/contents.py" "$target" "$out/$name-$DIST_VERSION.cdx.json" "$out/licences.txt" "$@"
  # shellcheck disable=SC2086
  "$here/tree.sh" "$name" "$tree" "$binaries" $programs
  # The same agent in both.
  install -m 0755 "$small/qagent" "$tree/usr/bin/qagent"
  install -m 0644 "$out/licences.txt" "$tree/usr/share/doc/$name/LICENCES"
  install -m 0644 "$out/$name-$DIST_VERSION.cdx.json" "$tree/usr/share/doc/$name/sbom.cdx.json"
  find "$tree" -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +
  "$here/deb.sh" "$name" "$tree" "$out/${name}_${DIST_VERSION}_amd64.deb"
  "$here/rpm.sh" "$name" "$tree" "$out/$name-$DIST_VERSION-1.x86_64.rpm"
  "$here/tarball.sh" "$tree" "$out/$name-$DIST_VERSION-x86_64.tar.gz"
  rm -rf "$tree" "$out/licences.txt"
}
pack gridmon "$binaries" "$programs" x86_64-unknown-linux-gnu
pack gridmon-agent "$small" qagent x86_64-unknown-linux-musl --no-default-features --features http,pickles
rm -rf "$small"
(cd "$out" && sha256sum gridmon[-_]* > SHA256SUMS && cat SHA256SUMS)
