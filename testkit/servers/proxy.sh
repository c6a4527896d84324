#!/bin/bash
# proxy.sh apache|nginx DIR PORT MONITOR: Apache or nginx on loopback with its files in DIR, in the foreground, as
# contrib/cloud-monitor.*.conf sets it up for a cloud-monitor on the port MONITOR. Of those files two things are changed:
# that port, and the network that is let in. It ends when standard input closes; standard output closes once it has ended.
set -euo pipefail
kind=$1 dir=$2 port=$3 monitor=$4
mkdir -p "$dir"
sed -e "s/127\.0\.0\.1:5000/127.0.0.1:$monitor/; s/192\.0\.2\.0\/24/127.0.0.1/" \
  "$(dirname "$0")/../../contrib/cloud-monitor.$kind.conf" > "$dir/site.conf"

# The other end of standard input is with the process that started this; should it die, the server must not outlive them.
( read -r _ || true; kill -TERM $$ ) <&0 2>/dev/null &
exec </dev/null >>"$dir/log" 2>&1

case $kind in
nginx)
  cat > "$dir/nginx.conf" <<C
user root;
daemon off;
worker_processes 1;
pid $dir/pid;
error_log $dir/log;
events {}
http {
  access_log off;
  client_body_temp_path $dir/body;
  proxy_temp_path $dir/proxy;
  fastcgi_temp_path $dir/fastcgi;
  uwsgi_temp_path $dir/uwsgi;
  scgi_temp_path $dir/scgi;
  server {
    listen 127.0.0.1:$port;
    include $dir/site.conf;
  }
}
C
  exec /usr/sbin/nginx -e "$dir/log" -c "$dir/nginx.conf" ;;
apache)
  modules=/usr/lib/apache2/modules
  {
    for module in mpm_event alias authz_core authz_host proxy proxy_http; do
      echo "LoadModule ${module}_module $modules/mod_$module.so"
    done
    cat <<C
ServerRoot $dir
ServerName 127.0.0.1
Listen 127.0.0.1:$port
PidFile $dir/pid
ErrorLog $dir/log
DefaultRuntimeDir $dir
User www-data
Group www-data
<VirtualHost *:$port>
  Include $dir/site.conf
</VirtualHost>
C
  } > "$dir/apache.conf"
  exec /usr/sbin/apache2 -D FOREGROUND -f "$dir/apache.conf" ;;
esac
