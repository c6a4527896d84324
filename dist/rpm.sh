#!/bin/bash
# rpm.sh PACKAGE TREE FILE: makes the package for RPM of TREE.
set -euo pipefail
package=$1 tree=$(realpath "$2") file=$3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Every file, and the folders that are this package's own.
{
  (cd "$tree" && find . -type f -printf '/%P\n' -o -type d -path '*gridmon*' -printf '%%dir /%P\n') |
    sed -e 's|^/etc/|%config(noreplace) /etc/|' -e 's|^/usr/share/doc/|%doc /usr/share/doc/|' | sort
} > "$work/files"
# Nothing of this machine: neither its name nor its time, and no step that changes what was built.
rpmbuild -bb --quiet --target x86_64 \
  --define "_topdir $work" --define "dist_version $DIST_VERSION" --define "dist_tree $tree" --define "dist_files $work/files" \
  --define "dist_name $package" \
  --define '_buildhost reproducible' --define 'use_source_date_epoch_as_buildtime 1' \
  --define 'clamp_mtime_to_source_date_epoch 1' --define '_build_id_links none' --define 'debug_package %{nil}' \
  --define '__os_install_post %{nil}' --define '_binary_payload w10.zstdio' --define '_build_name_fmt %%{NAME}.rpm' \
  --define 'source_date_epoch_from_changelog 0' dist/gridmon.spec >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }
mv "$work/RPMS/$package.rpm" "$file"
