#!/bin/bash
# tree.sh TREE BINARIES PROGRAM…: lays out the files that each package installs, below TREE, as they are below /.
set -euo pipefail
tree=$1 binaries=$2
shift 2
doc=$tree/usr/share/doc/gridmon
for program; do
  install -D -m 0755 "$binaries/$program" "$tree/usr/bin/$program"
done
install -m 0755 contrib/gridmon-system "$tree/usr/bin/gridmon-system"

# What `make manuals` wrote.
for page in target/manuals/man1/*.1; do
  install -d "$tree/usr/share/man/man1"
  gzip -9n < "$page" > "$tree/usr/share/man/man1/${page##*/}.gz"
done
for program; do
  install -D -m 0644 "target/manuals/bash/$program.bash" "$tree/usr/share/bash-completion/completions/$program"
  install -D -m 0644 "target/manuals/zsh/_$program" "$tree/usr/share/zsh/site-functions/_$program"
  install -D -m 0644 "target/manuals/fish/$program.fish" "$tree/usr/share/fish/vendor_completions.d/$program.fish"
done

# The units and scripts name /usr/local/bin, where a person would install by hand.
moved() { sed 's|/usr/local/bin/|/usr/bin/|g' "$1" > "$2"; }
install -d "$tree/usr/lib/systemd/system" "$tree/usr/share/gridmon/openrc" "$tree/usr/share/gridmon/web" \
  "$tree/usr/share/gridmon/grafana"
for unit in contrib/*.service contrib/*.timer; do moved "$unit" "$tree/usr/lib/systemd/system/${unit##*/}"; done
for script in contrib/openrc/*; do
  moved "$script" "$tree/usr/share/gridmon/openrc/${script##*/}"
  chmod 0755 "$tree/usr/share/gridmon/openrc/${script##*/}"
done
install -m 0644 contrib/*.conf "$tree/usr/share/gridmon/web"
install -m 0644 contrib/grafana/* "$tree/usr/share/gridmon/grafana"
install -D -m 0755 dist/scripts/system-user "$tree/usr/share/gridmon/system-user"
install -D -m 0755 dist/scripts/services "$tree/usr/share/gridmon/services"
install -D -m 0644 dist/gridmon.logrotate "$tree/etc/logrotate.d/gridmon"

install -D -m 0644 config.cfg.example "$doc/config.cfg.example"
sed 's|^PATH=/usr/local/bin:|PATH=|' crontab.example > "$doc/crontab.example"
install -m 0644 README.md CHANGELOG.md "$doc"
install -d "$doc/docs"
install -m 0644 docs/*.md "$doc/docs"
install -m 0644 LICENSE "$doc/copyright"
