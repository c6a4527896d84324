#!/bin/bash
# mariadb.sh DIR PORT [OPTION…]: a MariaDB on loopback with its data in DIR, in the foreground; each OPTION goes to mariadbd,
# over what stands here. Its user root has no password, by the socket DIR/socket alone. It ends when standard input closes;
# standard output closes once it has ended.
set -euo pipefail
dir=$1 port=$2; shift 2
mkdir -p "$dir/tmp"

# The other end of standard input is with the process that started this; should it die, mariadbd must not outlive them.
( read -r _ || true; kill -KILL $$ ) <&0 2>/dev/null &
exec </dev/null >>"$dir/log" 2>&1

# As a plain user mariadbd runs as that one.
user=(); [ "$(id -u)" != 0 ] || user=(--user=root)
if [ ! -d "$dir/data/mysql" ]; then
  mariadb-install-db --no-defaults "${user[@]}" --datadir="$dir/data" --auth-root-authentication-method=normal --skip-test-db \
    --skip-name-resolve
fi
exec "$(command -v mariadbd || echo /usr/sbin/mariadbd)" --no-defaults "${user[@]}" --datadir="$dir/data" --socket="$dir/socket" \
  --port="$port" --bind-address=127.0.0.1 --pid-file="$dir/pid" --tmpdir="$dir/tmp" --skip-name-resolve \
  --innodb-buffer-pool-size=32M --innodb-flush-method=fsync --innodb-log-file-size=16M "$@"
