#!/bin/bash
# slurm-cluster.sh BASE DIR PORT NODES [LINE…]: a cluster "lab" on loopback, in the foreground; needs root. n1 and n2 have 16 CPUs, n3 and n4 have
# 32 and four GPUs that are none; partition batch has all four, gpu the last two. BASE is what slurm-unpack.sh made. DIR is made here: DIR/root is
# this cluster's own copy of BASE, DIR/bin has the commands for a PATH (and `as USER COMMAND…` for alice, bob, carol), DIR/log tells
# what failed. slurmctld listens on PORT, the nodes on the four ports from NODES on. Each LINE goes into slurm.conf. A slurmctld that ends is started
# again, unless DIR/down exists. The cluster ends, with all its jobs, when standard input closes.
set -euo pipefail
base=$1 dir=$2 port=$3 nodes=$4; shift 4
mkdir -p "$dir/bin"
exec 2>>"$dir/log" >&2
root=$dir/root
mkdir "$root"

# The programs are shared by hard links where the file system allows it; what a cluster writes to is copied.
cp -al "$base/usr" "$root/" 2>/dev/null || { rm -rf "${root:?}/usr"; cp -a --reflink=auto "$base/usr" "$root/"; }
for part in "$base"/*; do [ "$part" = "$base/usr" ] || cp -a "$part" "$root/"; done
lab=$root/lab
mkdir -p "$lab"/{state,log,run,dev}
for i in 1 2 3 4; do mkdir "$lab/spool.n$i"; mknod "$lab/dev/gpu$((i - 1))" c 1 3; done

for tool in squeue sinfo sdiag scontrol sbatch scancel; do
  printf '#!/bin/sh\nexec /usr/sbin/chroot "%s" /usr/bin/env "SLURM_CONF=${LAB_CONF:-/lab/slurm.conf}" %s "$@"\n' "$root" $tool > "$dir/bin/$tool"
done
cat > "$dir/bin/as" <<A
#!/bin/sh
user=\$1; shift
case \$user in alice) id=1000:1000 ;; bob) id=1001:1001 ;; carol) id=1002:1002 ;; esac
exec /usr/sbin/chroot --userspec=\$id "$root" /usr/bin/env SLURM_CONF=/lab/slurm.conf HOME=/tmp USER=\$user "\$@"
A
chmod 755 "$dir"/bin/*

cat > "$lab/slurm.conf" <<C
ClusterName=lab
SlurmctldHost=ctl01(127.0.0.1)
SlurmctldPort=$port
SlurmUser=root
SlurmdUser=root
AuthType=auth/none
CredType=cred/none
StateSaveLocation=/lab/state
SlurmdSpoolDir=/lab/spool.%n
SlurmctldPidFile=/lab/run/slurmctld.pid
SlurmdPidFile=/lab/run/slurmd.%n.pid
SlurmctldLogFile=/lab/log/slurmctld.log
SlurmdLogFile=/lab/log/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SchedulerType=sched/backfill
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
DefMemPerCPU=1000
GresTypes=gpu
ReturnToService=0
SlurmdParameters=config_overrides
MpiDefault=none
MaxJobCount=250000
MaxArraySize=100001
SlurmctldTimeout=30
SlurmdTimeout=30
KillWait=2
NodeName=n[1-2] NodeHostname=ctl01 NodeAddr=127.0.0.1 Port=$nodes-$((nodes + 1)) CPUs=16 Boards=1 SocketsPerBoard=2 CoresPerSocket=8 ThreadsPerCore=1 RealMemory=64000
NodeName=n[3-4] NodeHostname=ctl01 NodeAddr=127.0.0.1 Port=$((nodes + 2))-$((nodes + 3)) CPUs=32 Boards=1 SocketsPerBoard=2 CoresPerSocket=16 ThreadsPerCore=1 RealMemory=256000 Gres=gpu:h100:4
PartitionName=batch Nodes=n[1-4] Default=YES MaxTime=2-00:00:00 State=UP
PartitionName=gpu Nodes=n[3-4] MaxTime=1-00:00:00 State=UP
$(printf '%s\n' "$@")
C
echo 'NodeName=n[3-4] Name=gpu Type=h100 File=/lab/dev/gpu[0-3]' > "$lab/gres.conf"
echo CgroupPlugin=cgroup/v1 > "$lab/cgroup.conf"

# The inner shell is the namespace's init, and with its init the kernel ends everything in a namespace; it ends when
# standard input does, for whatever reason. A slurmctld that is killed stays dead while DIR/down exists.
exec unshare --mount --uts --pid --fork --kill-child --propagation private bash -c '
  root=$0 dir=$1
  hostname ctl01 && cd "$root" && mount -t proc proc proc && mount -t sysfs sysfs sys && mount --rbind /sys/fs/cgroup sys/fs/cgroup
  mount -t tmpfs tmpfs dev/shm || exit
  for i in 1 2 3 4; do chroot . slurmd -D -N n$i -f /lab/slurm.conf </dev/null & done
  ( while sleep 0.1; do
      [ -e "$dir/down" ] || chroot . slurmctld -D -f /lab/slurm.conf </dev/null
    done ) &
  read -r _ || true' "$root" "$dir"
