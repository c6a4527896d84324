#!/bin/bash
# deb.sh PACKAGE TREE FILE: makes the package for Debian and its kin of TREE.
set -euo pipefail
package=$1 tree=$2 file=$3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp -a "$tree/." "$work"
# Where Debian's zsh looks for what packages bring.
mv "$work/usr/share/zsh/site-functions" "$work/usr/share/zsh/vendor-completions"
install -d "$work/DEBIAN"
size=$(find "$tree" -type f -printf '%s\n' | awk '{ sum += $1 } END { print int(sum / 1024) + 1 }')
sed -e "s/@VERSION@/$DIST_VERSION/" -e "s/@SIZE@/$size/" "dist/debian/$package.control" > "$work/DEBIAN/control"
install -m 0755 dist/debian/postinst dist/debian/prerm dist/debian/postrm "$work/DEBIAN"
[ ! -d "$tree/etc" ] || (cd "$tree" && find etc -type f -printf '/%p\n' | sort) > "$work/DEBIAN/conffiles"
(cd "$work" && find . -path ./DEBIAN -prune -o -type f -printf '%P\0' | sort -z | xargs -0 md5sum) > "$work/DEBIAN/md5sums"
find "$work" -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +
# Debian 12 and later take zstd, which packs in seconds what takes xz minutes. One thread: how many there are changes the bytes.
dpkg-deb --root-owner-group --threads-max=1 -Zzstd -z10 --build "$work" "$file" >/dev/null
