#!/bin/bash
# front.sh KIND DIR PORT TARGET...: what stands between a program and Carbon or graphite-web, on loopback with its files in
# DIR, in the foreground. It listens on PORT and leads to the port TARGET:
#   haproxy, haproxy-checks   proxies of TCP, before any number of targets; the second asks every 100 ms whether a target listens
#   haproxy-healthz           the same, before qmasters, which it asks for /healthz
#   socat                     a proxy of TCP, with a process for each connection
#   carbon-c-relay            a relay that takes lines alone
#   carbon-relay              Carbon's own relay; pickles on PORT, lines on PORT+1, to a Carbon's pickle port
#   nginx                     a proxy of HTTP that asks for the login monitor, s3cret
# KIND@ADDRESS: haproxy listens at this address too.
# It ends when standard input closes; standard output closes once it has ended.
set -euo pipefail
kind=${1%%@*} address=${1#"${1%%@*}"} dir=$2 port=$3 target=$4
address=${address#@}
mkdir -p "$dir"

# The other end of standard input is with the process that started this; should it die, the server must not outlive them.
( read -r _ || true; kill -KILL $$ ) <&0 2>/dev/null &
exec </dev/null >>"$dir/log" 2>&1

case $kind in
haproxy | haproxy-checks | haproxy-healthz)
  check=; [ "$kind" = haproxy ] || check='check inter 100ms'
  health=; [ "$kind" != haproxy-healthz ] ||
    health='  option httpchk GET /healthz'
  servers=
  for one in "${@:4}"; do servers+="  server s$one 127.0.0.1:$one $check"$'\n'; done
  cat > "$dir/haproxy.cfg" <<C
defaults
  mode tcp
  timeout connect 5s
  timeout client 50s
  timeout server 50s
  option redispatch
listen carbon
  bind 127.0.0.1:$port
${address:+  bind $address:$port}
$health
$servers
C
  exec /usr/sbin/haproxy -db -f "$dir/haproxy.cfg" ;;
socat) exec /usr/bin/socat "TCP-LISTEN:$port,bind=127.0.0.1,fork,reuseaddr" "TCP:127.0.0.1:$target" ;;
carbon-c-relay)
  printf 'cluster c forward 127.0.0.1:%s;\nmatch * send to c;\nlisten type linemode 127.0.0.1:%s proto tcp;\n' \
    "$target" "$port" > "$dir/relay.conf"
  exec /usr/bin/carbon-c-relay -f "$dir/relay.conf" ;;
carbon-relay)
  cat > "$dir/carbon.conf" <<C
[relay]
STORAGE_DIR = $dir
CONF_DIR = $dir
LOG_DIR = $dir
PID_DIR = $dir
USER =
LINE_RECEIVER_INTERFACE = 127.0.0.1
LINE_RECEIVER_PORT = $((port + 1))
PICKLE_RECEIVER_INTERFACE = 127.0.0.1
PICKLE_RECEIVER_PORT = $port
RELAY_METHOD = rules
DESTINATIONS = 127.0.0.1:$target
DESTINATION_PROTOCOL = pickle
C
  printf '[default]\ndefault = true\ndestinations = 127.0.0.1:%s\n' "$target" > "$dir/relay-rules.conf"
  : > "$dir/storage-schemas.conf"
  exec /usr/bin/carbon-relay --config="$dir/carbon.conf" --pidfile="$dir/pid" --logdir="$dir" --nodaemon start ;;
nginx)
  echo 'monitor:{PLAIN}s3cret' > "$dir/logins"
  cat > "$dir/nginx.conf" <<C
user root;
daemon off;
master_process off;
pid $dir/pid;
events {}
http {
  access_log $dir/access;
  client_body_temp_path $dir/body;
  proxy_temp_path $dir/proxy;
  fastcgi_temp_path $dir/fastcgi;
  uwsgi_temp_path $dir/uwsgi;
  scgi_temp_path $dir/scgi;
  server {
    listen 127.0.0.1:$port;
    location / {
      auth_basic graphite;
      auth_basic_user_file $dir/logins;
      proxy_pass http://127.0.0.1:$target;
    }
  }
}
C
  exec /usr/sbin/nginx -e "$dir/log" -c "$dir/nginx.conf" ;;
esac
