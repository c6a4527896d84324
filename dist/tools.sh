#!/bin/bash
# tools.sh FOLDER: puts the linker for old versions of glibc into FOLDER, if it is not there: Zig's, and cargo-zigbuild, which lets
# cargo use it. Both come from PyPI, each in the version that is named here.
set -euo pipefail
folder=$1 versions='cargo-zigbuild==0.24.1 ziglang==0.15.2'
[ "$(cat "$folder/versions" 2>/dev/null)" != "$versions" ] || exit 0
log=$(mktemp)
trap 'rm -f "$log"' EXIT
rm -rf "$folder"
# shellcheck disable=SC2086
/usr/bin/python3 -m pip install --quiet --disable-pip-version-check --no-input --root-user-action=ignore --no-deps \
  --target "$folder" $versions >"$log" 2>&1 || { cat "$log" >&2; exit 1; }
echo "$versions" > "$folder/versions"
