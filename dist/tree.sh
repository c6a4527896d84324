#!/bin/bash
# tree.sh PACKAGE TREE BINARIES PROGRAM…: lays out the files that PACKAGE installs, below TREE, as they are below /. What belongs to no
# program, as the files for web servers, is in the package of all programs alone.
set -euo pipefail
package=$1 tree=$2 binaries=$3
shift 3
doc=$tree/usr/share/doc/$package
is_whole() { [ "$package" = gridmon ]; }
install -d "$tree/usr/share/man/man1" "$tree/usr/lib/systemd/system" "$tree/usr/share/gridmon/openrc"
# The units and scripts name /usr/local/bin, where a person would install by hand.
moved() { sed 's|/usr/local/bin/|/usr/bin/|g' "$1" > "$2"; }
manuals=${DIST_MANUALS:-target/manuals}
for program; do
  install -D -m 0755 "$binaries/$program" "$tree/usr/bin/$program"
  # What `make manuals` wrote.
  for page in "$manuals/man1/$program".1 "$manuals/man1/$program"-*.1; do
    [ ! -e "$page" ] || gzip -9n < "$page" > "$tree/usr/share/man/man1/${page##*/}.gz"
  done
  install -D -m 0644 "$manuals/bash/$program.bash" "$tree/usr/share/bash-completion/completions/$program"
  install -D -m 0644 "$manuals/zsh/_$program" "$tree/usr/share/zsh/site-functions/_$program"
  install -D -m 0644 "$manuals/fish/$program.fish" "$tree/usr/share/fish/vendor_completions.d/$program.fish"
  for unit in "contrib/$program.service" "contrib/$program.timer"; do
    [ ! -e "$unit" ] || moved "$unit" "$tree/usr/lib/systemd/system/${unit##*/}"
  done
  if [ -e "contrib/openrc/$program" ]; then
    moved "contrib/openrc/$program" "$tree/usr/share/gridmon/openrc/$program"
    chmod 0755 "$tree/usr/share/gridmon/openrc/$program"
  fi
done
install -m 0755 dist/scripts/system-user dist/scripts/services "$tree/usr/share/gridmon"
if is_whole; then
  install -m 0755 contrib/gridmon-system "$tree/usr/bin/gridmon-system"
  gzip -9n < contrib/gridmon-system.1 > "$tree/usr/share/man/man1/gridmon-system.1.gz"
  install -d "$tree/usr/share/gridmon/web" "$tree/usr/share/gridmon/grafana/graphite"
  install -m 0644 contrib/*.conf "$tree/usr/share/gridmon/web"
  install -m 0644 contrib/grafana/*.* "$tree/usr/share/gridmon/grafana"
  install -m 0644 contrib/grafana/graphite/* "$tree/usr/share/gridmon/grafana/graphite"
  # Of one package alone: two files for the same logs are an error of logrotate's.
  install -D -m 0644 dist/gridmon.logrotate "$tree/etc/logrotate.d/gridmon"
fi

install -D -m 0644 config.cfg.example "$doc/config.cfg.example"
! is_whole || sed 's|^PATH=/usr/local/bin:|PATH=|' crontab.example > "$doc/crontab.example"
install -m 0644 README.md CHANGELOG.md ARCHITECTURE.md CONTRIBUTING.md SECURITY.md "$doc"
install -d "$doc/docs"
install -m 0644 docs/*.md docs/*.png "$doc/docs"
install -m 0644 LICENSE "$doc/copyright"
/usr/bin/python3 dist/links.py "$tree" "$doc"
