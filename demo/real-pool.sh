#!/bin/bash
# real-pool.sh FOLDER CARGO-FLAG…: make demo POOL=real. A real HTCondor pool with two schedds on this machine, real jobs
# that wait, run, end and are held, and collect-grid in earnest each minute, into an embedded store in FOLDER. Takes three
# minutes, needs root and Debian, and ends what it has started.
set -euo pipefail
folder=$1; shift
cd "$(dirname "$0")/.."
say() { printf '%s\n' "$*" >&2; }
if [ "$(id -u)" != 0 ] || ! [ -e /etc/debian_version ]; then
  say "make demo POOL=real needs root, to give the pool's daemons a root and a pid namespace of their own, and Debian, whose"
  say "packages HTCondor is unpacked from; this is user $(id -un) on $(. /etc/os-release 2>/dev/null; echo "${PRETTY_NAME:-an unknown system}")"
  say "the demo that needs neither: make demo"
  exit 1
fi

cargo build "$@"
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
mark=$folder/made-by-gridmon-demo
if ! [ -e "$mark" ] && [ -n "$(ls -A "$folder")" ]; then
  say "$folder holds files that no demo made; give another one: make demo POOL=real DEMO=FOLDER"
  exit 1
fi
exec 8>>"$mark"
flock --nonblock 8 || { say "another demo plays in $folder; wait for it, or give another one: DEMO=FOLDER"; exit 1; }
say 'HTCondor 23.9 is fetched from Debian and unpacked below target/servers, unless it is there'
testkit/servers/htcondor-unpack.sh "${GRIDMON_SERVERS:-target/servers}/htcondor-trixie" trixie
base=$(realpath "${GRIDMON_SERVERS:-target/servers}/htcondor-trixie")

# The pool ends when its standard input does: when this script ends, however it ends.
work=$(mktemp -d)
mkfifo "$work/stdin"
port=
until [ -n "$port" ] && ! (: < "/dev/tcp/127.0.0.1/$port") 2>/dev/null; do port=$((20000 + RANDOM % 10000)); done
setsid testkit/servers/htcondor-pool.sh "$base" "$work/pool" "$port" < "$work/stdin" > "$work/ended" 8>&- &
exec 9>"$work/stdin"
stop() {
  trap - EXIT INT TERM HUP
  exec 9>&-
  wait
  rm -rf "$work"
}
trap stop EXIT
trap 'say "interrupted"; exit 130' INT TERM HUP
pool=$work/pool

wait_for() {
  local what=$1; shift
  for _ in $(seq 300); do
    if "$@" >/dev/null 2>&1; then return; fi
    sleep 0.2
  done
  say "waited 60 s in vain for $what:"
  tail -n 20 "$pool/log" >&2 || true
  exit 1
}
schedds() { [ "$("$pool/bin/condor_status" -schedd -af Name 8>&- 9>&- | wc -l)" = 2 ]; }
slots() { [ "$("$pool/bin/condor_status" -af Name 8>&- 9>&- | wc -l)" -ge 5 ]; }
queue() { "$pool/bin/condor_q" -name "$1" -allusers -totals 8>&- 9>&-; }
wait_for 'both schedds' schedds
wait_for 'the slots' slots

# submit SCHEDD USER COUNT 'LINE; LINE…': jobs that sleep.
submit() {
  local schedd=$1 user=$2 count=$3 id
  case $user in alice) id=1000 ;; bob) id=1001 ;; esac
  wait_for "$schedd" queue "$schedd"
  printf '%s\n' 'executable = /bin/sleep' 'request_memory = 100' 'request_disk = 100' "${4//; /$'\n'}" "queue $count" |
    chroot --userspec=$id:$id "$pool/root" /usr/bin/env -i PATH=/usr/bin:/usr/sbin USER="$user" HOME="/home/$user" \
      condor_submit -name "$schedd" >/dev/null 8>&- 9>&-
}
first=ce01.lab.test second=ce02@ce01.lab.test
submit $first alice 7 'arguments = 55; request_cpus = 1; +TargetClouds = "IAAS"'
submit $first alice 6 'arguments = 110; request_cpus = 1; +TargetClouds = "IAAS"'
submit $second bob 2 'arguments = 70; request_cpus = 4; +TargetClouds = "IAAS_MCORE"'
submit $second bob 4 'arguments = 600; request_cpus = 1; +TargetClouds = "Alberta"'
submit $second bob 1 'arguments = 600; hold = true; +TargetClouds = "IAAS"'

rm -rf "$folder/state"
rm -f "$folder/config.cfg"
(umask 022; cat > "$folder/config.cfg") <<C
# Made by the demo, and made anew by the next one.
[grid]
name = lab

[htcondor]
pool = 127.0.0.1:$port
# The daemons of this pool update every second.
update_interval_seconds = 1

[state]
directory = $folder/state
C
programs=$(cargo metadata --format-version 1 --no-deps --offline | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')/quick
echo
echo "Real: an HTCondor 23.9 pool on 127.0.0.1:$port with 12 cores and two schedds, 20 jobs that sleep, collect-grid, its store."
echo 'Recorded or generated: nothing. There are no clouds, for there is no Cloud Scheduler.'
status=0
for round in 1 2 3; do
  # The time of a point is its minute: a second run in one minute would write the same points again.
  [ $round = 1 ] || sleep $((60 - $(date +%-S) + 1)) 8>&- 9>&- & wait $!
  echo
  PATH=$pool/bin:$PATH "$programs/collect-grid" -c "$folder/config.cfg" 8>&- 9>&- || status=1
  echo "\$ $programs/gridmon-status grid -c $folder/config.cfg"
  "$programs/gridmon-status" grid -c "$folder/config.cfg" 8>&- 9>&-
done
echo
echo 'The pool is stopped. The store stays; what to run next:'
echo
echo "  $programs/gridmon-status store -c $folder/config.cfg"
echo "  $programs/gridmon-status store export --format csv -m grid_jobs -c $folder/config.cfg"
echo "  $programs/cloud-monitor -c $folder/config.cfg   # the dashboard, http://127.0.0.1:5000/"
exit $status
