#!/bin/bash
# carbon.sh DIR PORT [KEY=VALUE…]: a carbon-cache on loopback with its data in DIR, in the foreground: lines on PORT,
# pickle on PORT+1, queries on PORT+2; each KEY=VALUE goes into carbon.conf over what stands here. It ends when standard
# input closes; standard output closes once it has ended.
set -euo pipefail
dir=$1 port=$2; shift 2
mkdir -p "$dir/whisper"

# The other end of standard input is with the process that started this; should it die, carbon must not outlive them.
( read -r _ || true; kill -KILL $$ ) <&0 2>/dev/null &
exec </dev/null >>"$dir/log" 2>&1

# The creation limit of Debian's default (50 a minute) drops new metrics.
declare -A set=(
  [STORAGE_DIR]=$dir [LOCAL_DATA_DIR]=$dir/whisper [CONF_DIR]=$dir [LOG_DIR]=$dir [PID_DIR]=$dir [WHITELISTS_DIR]=$dir
  [USER]='' [DATABASE]=whisper [ENABLE_LOGROTATION]=False [LOG_UPDATES]=False [LOG_CREATES]=False
  [MAX_CACHE_SIZE]=inf [MAX_UPDATES_PER_SECOND]=inf [MAX_CREATES_PER_MINUTE]=inf [CACHE_WRITE_STRATEGY]=naive
  [CARBON_METRIC_INTERVAL]=0 [ENABLE_TAGS]=False [ENABLE_UDP_LISTENER]=False
  [WHISPER_SPARSE_CREATE]=True [WHISPER_FALLOCATE_CREATE]=False
  [LINE_RECEIVER_INTERFACE]=127.0.0.1 [LINE_RECEIVER_PORT]=$port
  [PICKLE_RECEIVER_INTERFACE]=127.0.0.1 [PICKLE_RECEIVER_PORT]=$((port + 1))
  [CACHE_QUERY_INTERFACE]=127.0.0.1 [CACHE_QUERY_PORT]=$((port + 2))
)
for pair; do set[${pair%%=*}]=${pair#*=}; done
{ echo '[cache]'; for key in "${!set[@]}"; do echo "$key = ${set[$key]}"; done; } > "$dir/carbon.conf"
printf '[all]\npattern = .*\nretentions = 60s:7d\n' > "$dir/storage-schemas.conf"

rm -f "$dir/carbon.pid" # A killed predecessor leaves it, and carbon then refuses to start.
exec /usr/bin/carbon-cache --config="$dir/carbon.conf" --pidfile="$dir/carbon.pid" --logdir="$dir" --nodaemon start
