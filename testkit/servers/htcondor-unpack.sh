#!/bin/bash
# htcondor-unpack.sh ROOT [trixie|sid]: unpacks what the HTCondor daemons need into the folder ROOT (about 60 MB), to be
# used with chroot. Debian 12 has no HTCondor and a newer suite's packages cannot be installed beside its own libc; no
# maintainer script runs. Does nothing when ROOT is there and newer than this script.
set -euo pipefail
root=$(realpath -m "$1") suite=${2:-trixie}
[ "$root" -nt "$0" ] && exit 0

# The machine's own mirror, as apt itself reads its configuration (deb822 or classic); apt knows it only after an
# update.
mirror() { apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Label: Debian' 2>/dev/null | sed -n 1p; }
uri=$(mirror)
[ -n "$uri" ] || { apt-get update -qq; uri=$(mirror); }
[ -n "$uri" ] || { echo "htcondor-unpack.sh: apt knows no Debian mirror on this machine" >&2; exit 1; }

mkdir -p "$(dirname "$root")"
work=$(mktemp -d "$root.XXXXXX")
trap 'rm -rf "$work"' EXIT
new=$work/root
mkdir -p "$work"/{lists/partial,archives/partial} "$new"/usr/{bin,sbin,lib,lib64} \
  "$new"/{proc,dev,sys,tmp,run/condor,root,home,etc/condor/config.d} \
  "$new"/var/{log/condor,spool/condor,lib/condor/execute,lock/condor}
chmod 755 "$work" "$new"
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $uri $suite main" > "$work/sources.list"
: > "$work/status"
apt=(apt-get -qq -o "Dir::Etc::sourcelist=$work/sources.list" -o Dir::Etc::sourceparts=/dev/null
  -o "Dir::State=$work" -o "Dir::State::lists=$work/lists" -o "Dir::State::status=$work/status"
  -o "Dir::Cache=$work" -o "Dir::Cache::archives=$work/archives"
  -o APT::Sandbox::User=root -o Acquire::Languages=none)
# The libraries are those that `ldd` names for the daemons and tools; HTCondor 25 keeps its records in SQLite besides.
packages=(condor minicondor busybox-static
  libc6 libgcc-s1 libgomp1 libpcre2-8-0 libssl3t64 libstdc++6 libuuid1 libzstd1 zlib1g)
[ "$suite" = trixie ] || packages+=(libsqlite3-0)
"${apt[@]}" update
(cd "$work/archives" && "${apt[@]}" download "${packages[@]}")

for link in bin sbin lib lib64; do ln -s usr/$link "$new/$link"; done
ln -s /run "$new/var/run"
chmod 1777 "$new/tmp"
for deb in "$work"/archives/*.deb; do
  dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$new" --keep-directory-symlink \
    --exclude='./usr/share/doc*' --exclude='./usr/share/man*' --exclude='./usr/share/locale*'
done
for tool in sh sleep true false cat echo env ls date id mkdir rm; do
  [ -e "$new/usr/bin/$tool" ] || ln -s busybox "$new/usr/bin/$tool"
done
for device in null zero random urandom; do cp -a /dev/$device "$new/dev/"; done

cat > "$new/etc/passwd" <<P
root:x:0:0:root:/root:/bin/sh
condor:x:64:64::/var/lib/condor:/bin/false
alice:x:1000:1000::/home/alice:/bin/sh
bob:x:1001:1001::/home/bob:/bin/sh
pilot:x:1002:1002::/home/pilot:/bin/sh
nobody:x:65534:65534::/:/bin/false
P
printf 'root:x:0:\ncondor:x:64:\nalice:x:1000:\nbob:x:1001:\npilot:x:1002:\nnogroup:x:65534:\n' > "$new/etc/group"
printf 'passwd: files\ngroup: files\nhosts: files\n' > "$new/etc/nsswitch.conf"
printf '127.0.0.1 localhost\n' > "$new/etc/hosts"
for user in alice bob pilot; do mkdir "$new/home/$user"; done
chown 1000:1000 "$new/home/alice"
chown 1001:1001 "$new/home/bob"
chown 1002:1002 "$new/home/pilot"
# The daemons prove themselves to one another with this password.
mkdir -p "$new"/etc/condor/{passwords.d,tokens.d}
chmod 700 "$new"/etc/condor/{passwords.d,tokens.d}
head -c 64 /dev/urandom > "$new/etc/condor/passwords.d/POOL"
chmod 600 "$new/etc/condor/passwords.d/POOL"
chown -R 64:64 "$new"/var/{log,spool,lib,lock}/condor "$new/run/condor"

# A library that a newer version needs besides shows here, and not as a pool that never comes up.
for program in bin/condor_q sbin/condor_schedd sbin/condor_startd sbin/condor_starter; do
  lost=$(chroot "$new" /bin/sh -c "LD_TRACE_LOADED_OBJECTS=1 /usr/$program" 2>&1 | grep 'not found' || true)
  [ -z "$lost" ] || { echo "htcondor-unpack.sh: $program of suite $suite: $lost" >&2; exit 1; }
done

rm -rf "$root"
touch "$new"
mv "$new" "$root" # Last and at once: a ROOT that is there is finished.
