#!/bin/bash
# chromedriver.sh DIR: Debian's chromedriver on a free loopback port, with its files in DIR, in the foreground; its first
# lines say which port. It ends, with the browsers that it has started, when standard input closes.
set -euo pipefail
dir=$1
mkdir -p "$dir"
# Every browser has its folder below this one, by which it is found at the end, however the driver ended.
export TMPDIR=$dir HOME=$dir
set -m
chromedriver --port=0 </dev/null 2>>"$dir/log" &
driver=$!
cat >/dev/null || true
exec 2>/dev/null
kill -TERM -- -$driver || true
for process in /proc/[0-9]*; do
  if { tr '\0' ' ' <"$process/cmdline"; } | grep -q -- "--user-data-dir=$dir/"; then
    kill -KILL "${process#/proc/}" || true
  fi
done
