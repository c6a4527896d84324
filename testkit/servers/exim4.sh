#!/bin/bash
# exim4.sh DIR PORT: an SMTP server on loopback that takes mail for anybody but "reject" after STARTTLS and a login as u with the
# password p or m4il-s3cret, and puts it into DIR/mail (a maildir), in the foreground; as root. DIR/ca.pem is the CA of its certificate, which
# is for localhost; DIR/log/mainlog says what it took. It ends when standard input closes; standard output closes once it
# has ended.
set -euo pipefail
dir=$1 port=$2
# The server has a user of its own, who may not get to DIR.
home=$(mktemp -d "${TMPDIR:-/tmp}/gridmon-exim4.XXXXXX")
mkdir -p "$dir" "$home"/{spool,log,mail/new}
ln -sfn "$home/mail" "$dir/mail"
ln -sfn "$home/log" "$dir/log"

# The other end of standard input is with the process that started this; should it die, exim must not outlive them.
( read -r _ || true; kill -KILL $$; rm -rf "$home" ) <&0 2>/dev/null &
exec </dev/null >>"$dir/output" 2>&1

new() { openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 "$@"; }
new -x509 -subj /CN=gridmon-test-CA -keyout "$dir/ca.key" -out "$dir/ca.pem"
new -subj /CN=localhost -addext subjectAltName=DNS:localhost -keyout "$home/key.pem" -out "$home/request.pem"
openssl x509 -req -in "$home/request.pem" -CA "$dir/ca.pem" -CAkey "$dir/ca.key" -days 30 -copy_extensions copy -out "$home/cert.pem"

cat > "$home/exim.conf" <<C
primary_hostname = localhost
spool_directory = $home/spool
log_file_path = $home/log/%slog
pid_file_path = $home/exim.pid
keep_environment =
local_interfaces = 127.0.0.1
daemon_smtp_ports = $port
tls_advertise_hosts = *
tls_certificate = $home/cert.pem
tls_privatekey = $home/key.pem
auth_advertise_hosts = \${if eq{\$tls_in_cipher}{}{}{*}}
host_lookup =
rfc1413_query_timeout = 0s
qualify_domain = localhost
acl_smtp_rcpt = rcpt
acl_smtp_data = accept
begin acl
rcpt:
  deny !authenticated = *
       message = authentication required
  deny local_parts = reject
       message = no such user
  accept
begin routers
all:
  driver = accept
  transport = box
begin transports
box:
  driver = appendfile
  directory = $home/mail
  maildir_format
  user = Debian-exim
  envelope_to_add
begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = \${if and{{eq{\$auth2}{u}}{or{{eq{\$auth3}{p}}{eq{\$auth3}{m4il-s3cret}}}}}}
  server_set_id = \$auth2
C
chown -R Debian-exim:Debian-exim "$home"
chmod 700 "$home"
# It reads no config that anybody but root can change.
chown root:root "$home/exim.conf"
chmod 644 "$home/exim.conf"
exec /usr/sbin/exim4 -C "$home/exim.conf" -bdf -q30m
