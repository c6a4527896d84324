#!/bin/bash
# influxdb.sh DIR PORT [SECTION.KEY=VALUE…]: an InfluxDB 1.x on loopback with its data in DIR, in the foreground: HTTP with
# login on PORT, backups on PORT+1; each SECTION.KEY=VALUE goes into its config over what stands here. It ends when
# standard input closes; standard output closes once it has ended.
set -euo pipefail
dir=$1 port=$2; shift 2
mkdir -p "$dir"

# The other end of standard input is with the process that started this; should it die, influxd must not outlive them.
( read -r _ || true; kill -KILL $$ ) <&0 2>/dev/null &
exec </dev/null >>"$dir/log" 2>&1

declare -A set=(
  [meta.dir]="\"$dir/meta\"" [data.dir]="\"$dir/data\"" [data.wal-dir]="\"$dir/wal\"" [data.query-log-enabled]=false
  [data.index-version]='"inmem"' [monitor.store-enabled]=false [subscriber.enabled]=false
  [continuous_queries.enabled]=false [http.bind-address]="\"127.0.0.1:$port\"" [http.auth-enabled]=true
  [http.access-log-path]="\"$dir/access.log\"" [ifql.enabled]=false
)
for pair; do set[${pair%%=*}]=${pair#*=}; done
{
  printf 'reporting-disabled = true\nbind-address = "127.0.0.1:%s"\n' $((port + 1))
  for section in meta data coordinator monitor subscriber continuous_queries http ifql; do
    echo "[$section]"
    for key in "${!set[@]}"; do
      if [ "${key%%.*}" = $section ]; then echo "  ${key#*.} = ${set[$key]}"; fi
    done
  done
} > "$dir/influxdb.conf"
exec /usr/bin/influxd run -config "$dir/influxdb.conf"
