#!/bin/bash
# debian-root.sh FILE SUITE: packs a bare Debian of SUITE (bookworm, trixie, bullseye) into FILE, in which packages are installed by
# a test. Does nothing when FILE is there and newer than this script. Needs root and debootstrap.
set -euo pipefail
file=$(realpath -m "$1") suite=$2
[ "$file" -nt "$0" ] && exit 0
mirror() { apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Label: Debian' 2>/dev/null | sed -n 1p; }
uri=$(mirror)
[ -n "$uri" ] || { apt-get update -qq; uri=$(mirror); }
[ -n "$uri" ] || { echo "debian-root.sh: apt knows no Debian mirror on this machine" >&2; exit 1; }
mkdir -p "$(dirname "$file")"
work=$(mktemp -d "$file.XXXXXX")
trap 'rm -rf "$work"' EXIT
debootstrap --variant=minbase "$suite" "$work/root" "$uri" >"$work/log" 2>&1 || { tail -n 20 "$work/log" >&2; exit 1; }
rm -rf "$work"/root/var/cache/apt/archives/*.deb "$work"/root/var/lib/apt/lists/*
tar --create --numeric-owner --file "$work/root.tar" -C "$work/root" .
mv "$work/root.tar" "$file"
