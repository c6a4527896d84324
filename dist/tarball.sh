#!/bin/bash
# tarball.sh TREE FILE: makes the tarball of TREE: the same files as below /usr, for whoever installs by hand into /usr/local, which the
# units and scripts of contrib/ name.
set -euo pipefail
tree=$1 file=$2
name=$(basename "$file" .tar.gz)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/$name"
cp -a "$tree/usr/." "$work/$name"
for unit in "$work/$name"/lib/systemd/system/*; do cp "contrib/${unit##*/}" "$unit"; done
for script in "$work/$name"/share/gridmon/openrc/*; do cp "contrib/openrc/${script##*/}" "$script"; done
for crontab in "$work/$name"/share/doc/*/crontab.example; do [ ! -e "$crontab" ] || cp crontab.example "$crontab"; done
[ ! -d "$tree/etc" ] || cp -a "$tree/etc" "$work/$name/etc"
find "$work" -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +
tar --create --format=ustar --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$SOURCE_DATE_EPOCH" -C "$work" "$name" |
  gzip -9n > "$file"
