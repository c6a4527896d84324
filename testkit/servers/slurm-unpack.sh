#!/bin/bash
# slurm-unpack.sh ROOT [SUITE]: unpacks Slurm's daemons and commands into the folder ROOT (about 80 MB), to be used with chroot: bookworm has
# 22.05 (the default), trixie 24.11. No maintainer script runs, and no munge is needed. Does nothing when ROOT is there and newer than
# this script.
set -euo pipefail
root=$(realpath -m "$1") suite=${2:-bookworm}
[ "$root" -nt "$0" ] && exit 0

# The machine's own mirror, as apt itself reads its configuration (deb822 or classic); apt knows it only after an
# update.
mirror() { apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Label: Debian' 2>/dev/null | sed -n 1p; }
uri=$(mirror)
[ -n "$uri" ] || { apt-get update -qq; uri=$(mirror); }
[ -n "$uri" ] || { echo "slurm-unpack.sh: apt knows no Debian mirror on this machine" >&2; exit 1; }

mkdir -p "$(dirname "$root")"
work=$(mktemp -d "$root.XXXXXX")
trap 'rm -rf "$work"' EXIT
new=$work/root
mkdir -p "$work"/{lists/partial,archives/partial} "$new"/usr/{bin,sbin,lib,lib64} \
  "$new"/{proc,dev/shm,sys,tmp,run,root,home,etc/slurm,var/log,lab}
chmod 755 "$work" "$new"
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $uri $suite main" > "$work/sources.list"
# With an empty list of what is installed, apt brings every library too.
: > "$work/status"
apt=(apt-get -qq -o "Dir::Etc::sourcelist=$work/sources.list" -o Dir::Etc::sourceparts=/dev/null
  -o "Dir::State=$work" -o "Dir::State::lists=$work/lists" -o "Dir::State::status=$work/status"
  -o "Dir::Cache=$work" -o "Dir::Cache::archives=$work/archives" -o APT::Install-Recommends=false
  -o APT::Sandbox::User=root -o Acquire::Languages=none)
"${apt[@]}" update
"${apt[@]}" -y -d install slurmctld slurmd slurm-client busybox-static

for link in bin sbin lib lib64; do ln -s usr/$link "$new/$link"; done
chmod 1777 "$new/tmp"
for deb in "$work"/archives/*.deb; do
  dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$new" --keep-directory-symlink \
    --exclude='./usr/share/doc*' --exclude='./usr/share/man*' --exclude='./usr/share/locale*' --exclude=./var/run --exclude=./var/lock
done
for tool in sh sleep true false cat echo env hostname date id mkdir rm; do
  [ -e "$new/usr/bin/$tool" ] || ln -s busybox "$new/usr/bin/$tool"
done
# The packages link these by update-alternatives.
for daemon in slurmctld slurmd slurmstepd; do
  [ -e "$new/usr/sbin/$daemon" ] || ln -s $daemon-wlm "$new/usr/sbin/$daemon"
done
for device in null zero random urandom; do cp -a /dev/$device "$new/dev/"; done

cat > "$new/etc/passwd" <<P
root:x:0:0:root:/root:/bin/sh
alice:x:1000:1000::/tmp:/bin/sh
bob:x:1001:1001::/tmp:/bin/sh
carol:x:1002:1002::/tmp:/bin/sh
nobody:x:65534:65534::/:/bin/false
P
printf 'root:x:0:\nphysics:x:1000:\nchem:x:1001:\nbio:x:1002:\nnogroup:x:65534:\n' > "$new/etc/group"
printf 'passwd: files\ngroup: files\nhosts: files\n' > "$new/etc/nsswitch.conf"
printf '127.0.0.1 localhost ctl01 n1 n2 n3 n4\n' > "$new/etc/hosts"

# A library that a newer version needs besides shows here, and not as a cluster that never comes up.
for program in bin/squeue bin/sdiag bin/scontrol sbin/slurmctld sbin/slurmd; do
  lost=$(chroot "$new" /bin/sh -c "LD_TRACE_LOADED_OBJECTS=1 /usr/$program" 2>&1 | grep 'not found' || true)
  [ -z "$lost" ] || { echo "slurm-unpack.sh: $program of suite $suite: $lost" >&2; exit 1; }
done

rm -rf "$root"
touch "$new"
mv "$new" "$root" # Last and at once: a ROOT that is there is finished.
