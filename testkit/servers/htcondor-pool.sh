#!/bin/bash
# htcondor-pool.sh BASE DIR PORT [LINE…]: a personal pool with 12 cores and two schedds, ce01.lab.test and
# ce02@ce01.lab.test, on loopback, in the foreground; needs root. BASE is what htcondor-unpack.sh made. DIR is made
# here: DIR/root is this pool's own copy of BASE, so that several pools can run at once, DIR/bin has the tools for a
# PATH, DIR/log tells what failed. Each LINE goes into the pool's configuration. The pool ends, with all its jobs, when
# standard input closes.
set -euo pipefail
base=$1 dir=$2 port=$3; shift 3
mkdir -p "$dir/bin"
exec 2>>"$dir/log" >&2
root=$dir/root
mkdir "$root"

# The programs are shared by hard links where the file system allows it; what a pool writes to is copied (1 MB).
cp -al "$base/usr" "$root/" 2>/dev/null || { rm -rf "${root:?}/usr"; cp -a --reflink=auto "$base/usr" "$root/"; }
for part in "$base"/*; do [ "$part" = "$base/usr" ] || cp -a "$part" "$root/"; done
for parent in spool lib; do mkdir "$root/var/$parent/condor/ce02" && chown 64:64 "$root/var/$parent/condor/ce02"; done

for tool in "$root"/usr/{bin,sbin}/condor_*; do
  printf '#!/bin/sh\nexec /usr/sbin/chroot "%s" "%s" "$@"\n' "$root" "${tool#"$root"}" > "$dir/bin/${tool##*/}"
done
chmod 755 "$dir"/bin/*

cat > "$root/etc/condor/config.d/99-gridmon" <<C
CONDOR_HOST = 127.0.0.1
COLLECTOR_HOST = 127.0.0.1:$port
SHARED_PORT_PORT = $port
# Debian's configuration of 23.9 keeps to loopback by itself, that of 25 does not.
NETWORK_INTERFACE = 127.0.0.1
BIND_ALL_INTERFACES = False
ENABLE_IPV6 = False
NETWORK_HOSTNAME = ce01.lab.test
UID_DOMAIN = lab.test
FILESYSTEM_DOMAIN = lab.test
COLLECTOR_NAME = lab

# The local name alone is the prefix: SCHEDD.CE02.X, as older manuals have it, is passed over.
DAEMON_LIST = \$(DAEMON_LIST) SCHEDD_CE02
DC_DAEMON_LIST = +SCHEDD_CE02
SCHEDD_CE02 = \$(SCHEDD)
SCHEDD_CE02_ARGS = -local-name ce02
CE02.SCHEDD_NAME = ce02@ce01.lab.test
CE02.SCHEDD_LOG = \$(LOG)/SchedLog.ce02
CE02.SCHEDD_ADDRESS_FILE = /var/spool/condor/ce02/.schedd_address
CE02.SCHEDD_DAEMON_AD_FILE = /var/spool/condor/ce02/.schedd_classad
CE02.SPOOL = /var/spool/condor/ce02
CE02.LOCAL_UNIV_EXECUTE = /var/lib/condor/ce02
# A killed schedd stays dead: the master waits that many seconds before it starts another.
MASTER_BACKOFF_CONSTANT = 3600

NUM_CPUS = 12
MEMORY = 48000
SLOT_TYPE_1 = cpus=8, memory=32000
SLOT_TYPE_1_PARTITIONABLE = True
NUM_SLOTS_TYPE_1 = 1
SLOT_TYPE_2 = cpus=1, memory=4000
SLOT_TYPE_2_PARTITIONABLE = False
NUM_SLOTS_TYPE_2 = 4
START = True
GROUP_NAMES = group_mcore, group_score, group_analy, group_analy.long
GROUP_QUOTA_group_mcore = 8
GROUP_QUOTA_group_score = 4
GROUP_QUOTA_group_analy = 4
GROUP_QUOTA_group_analy.long = 2
GROUP_ACCEPT_SURPLUS = True
# Figures follow within a second or two, not minutes.
UPDATE_INTERVAL = 1
SCHEDD_INTERVAL = 1
SCHEDD_MIN_INTERVAL = 1
NEGOTIATOR_INTERVAL = 1
NEGOTIATOR_MIN_INTERVAL = 1
NEGOTIATOR_CYCLE_DELAY = 1
NEGOTIATOR_UPDATE_INTERVAL = 1
COLLECTOR_UPDATE_INTERVAL = 1
$(printf '%s\n' "$@")
C

# The inner shell is the namespace's init, and with its init the kernel ends everything in a namespace; it ends when
# standard input does, for whatever reason.
exec unshare --mount --pid --fork --kill-child --propagation private bash -c '
  mount --bind "$0" "$0" && cd "$0" && mount --rbind /dev dev && mount -t proc proc proc || exit
  chroot . condor_master -f </dev/null &
  read -r _ || true' "$root"
