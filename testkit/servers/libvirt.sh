#!/bin/bash
# libvirt.sh DIR N: libvirtd with N real QEMU domains, in the foreground. DIR is absolute and short: a socket's path holds 107
# bytes. DIR/ready appears when every domain runs; DIR/uri is where virsh finds it, DIR/run/libvirt-sock-ro where a monitor does. It ends when standard
# input closes; standard output closes once it has ended. While DIR/down exists a libvirtd that ends stays down, else it is
# started again. If DIR/activated exists at the start, the sockets are not libvirtd's own: somebody else listens, hands them over
# and keeps them while it is down, as systemd does.
# All of it, daemon, QEMUs and taps, lives in mount, network and process namespaces of its own: one kill ends it. QEMU emulates (no
# KVM), 16 MiB each; about nine times a second a guest reads 4096 bytes, writes 2048 and sends a frame of 512, and gets packets of
# 1042 bytes. Needs root.
set -u
D=$1 N=$2
if [ "${3:-}" != inside ]; then
  exec 3<&0 </dev/null
  mkdir -p "$D"/{etc/qemu,lib,run,cache,log,disks}
  setpriv --pdeathsig KILL unshare --mount --net --pid --fork --mount-proc --kill-child tini -s -- bash "$0" "$D" "$N" inside >"$D/output" 2>&1 3<&- & child=$!
  # The other end of standard input is with the process that started this; should it die, nothing here must outlive them.
  ( read -r _ <&3 || true; kill -KILL $child ) 2>/dev/null &
  exec 3<&-
  wait $child 2>/dev/null
  exit
fi
exec </dev/null
for d in etc:/etc/libvirt lib:/var/lib/libvirt run:/run/libvirt cache:/var/cache/libvirt log:/var/log/libvirt; do
  mkdir -p "${d#*:}"; mount --bind "$D/${d%%:*}" "${d#*:}"
done
# libvirtd insists on this user, which only the package libvirt-daemon-system makes.
getent passwd libvirt-qemu >/dev/null || {
  { cat /etc/passwd; echo 'libvirt-qemu:x:64055:64055::/:/bin/false'; } >"$D/etc/passwd"; mount --bind "$D/etc/passwd" /etc/passwd
  { cat /etc/group; echo 'libvirt-qemu:x:64055:'; } >"$D/etc/group"; mount --bind "$D/etc/group" /etc/group
}
ip link set lo up
printf '%s\n' 'user = "root"' 'group = "root"' 'security_driver = "none"' 'stdio_handler = "file"' 'namespaces = []' \
  'remember_owner = 0' 'cgroup_controllers = []' >"$D/etc/qemu.conf"
printf '%s\n' 'auth_unix_ro = "none"' 'auth_unix_rw = "none"' 'unix_sock_ro_perms = "0777"' \
  'host_uuid = "00000000-0000-4000-8000-0000000000ff"' >"$D/etc/libvirtd.conf"
echo "qemu+unix:///system?socket=$D/run/libvirt-sock" >"$D/uri"
v() { virsh -q -c "$(cat "$D/uri")" "$@"; }

# The guest: a boot sector of 16-bit code. The BIOS reads, writes and waits, ports of the ne2k_pci send, ports ae04 and ae08 let go
# of disks and interfaces that are unplugged.
sector() {
  printf '\x31\xc0\x8e\xd8\x8e\xc0\x8e\xd0\xbc\x00\x7c\xfb\x88\x16\x00\x05\xb8\x08\x02\xb9\x01\x00\x31\xd2\x8a\x16\x00\x05\xbb\x00\x80\xcd\x13\xb8\x04\x03\xb9\x02\x00\x31\xd2\x8a\x16\x00\x05\xbb\x00\x80\xcd\x13\xb8\x02\xb1\xb9\x29\x80\xba\xec\x10\x31\xf6\xcd\x1a\x72\x25\xb8\x0a\xb1\xbf\x10\x00\xcd\x1a\x72\x1b\x83\xe1\xfc\x89\xca\xb0\x22\xee\x83\xc2\x04\xb0\x40\xee\x42\x30\xc0\xee\x42\xb0\x02\xee\x89\xca\xb0\x26\xee\xba\x04\xae\x66\xed\x83\xc2\x04\x66\xef\xb8\x00\x86\xb9\x01\x00\xba\xa0\x86\xcd\x15\xeb\x93'
  head -c 385 /dev/zero; printf '\x55\xaa'
}

# xml I: a domain as nova writes it, without its video and channels.
xml() {
cat <<X
<domain type='qemu'>
  <name>instance-$(printf %08x $1)</name>
  <uuid>$(printf '00000000-0000-4000-8000-%012x' $1)</uuid>
  <metadata>
    <nova:instance xmlns:nova="http://openstack.org/xmlns/libvirt/nova/1.1">
      <nova:name>web-$1</nova:name>
      <nova:flavor name="m1.tiny"><nova:vcpus>$((1 + $1 % 2))</nova:vcpus></nova:flavor>
      <nova:owner><nova:project uuid="b1e2d3c4a5f60718293a4b5c6d7e8f90">physics</nova:project></nova:owner>
    </nova:instance>
  </metadata>
  <memory unit='KiB'>16384</memory>
  <vcpu placement='static' current='$((1 + $1 % 2))'>2</vcpu>
  <os><type arch='x86_64' machine='pc'>hvm</type><boot dev='hd'/></os>
  <features><acpi/></features>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    <disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='$D/disks/$1.img'/><target dev='vda' bus='virtio'/></disk>
    <interface type='ethernet'><mac address='52:54:00:77:00:$(printf %02x $1)'/><target dev='tap$(printf %08x $1)'/><model type='ne2k_pci'/><rom enabled='no'/></interface>
    <memballoon model='virtio'><stats period='10'/></memballoon>
  </devices>
</domain>
X
}

# activate COMMAND…: what systemd does with libvirtd.socket and libvirtd-ro.socket.
activate() {
  exec perl -e '
    use Socket; use POSIX ();
    my ($d, @command) = @ARGV;
    my @sockets = map {
      my $path = "/run/libvirt/$_";
      socket(my $socket, PF_UNIX, SOCK_STREAM, 0) or die $!;
      bind($socket, sockaddr_un($path)) && listen($socket, 100) or die "$path: $!";
      chmod 0777, $path;
      $socket
    } "libvirt-sock", "libvirt-sock-ro";
    for (;; select undef, undef, undef, 0.05) {
      next if -e "$d/down";
      my $child = fork;
      if ($child) { waitpid $child, 0; next }
      POSIX::dup2(fileno $sockets[$_], 10 + $_) for 0, 1;
      POSIX::dup2(10 + $_, 3 + $_) for 0, 1;
      @ENV{"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"} = ($$, 2, "libvirtd.socket:libvirtd-ro.socket");
      exec @command or die $!;
    }' "$D" "$@"
}

start() {
  local by=
  [ -e "$D/activated" ] && by=activate
  $by libvirtd -p "$D/libvirtd.pid" >>"$D/log/libvirtd.txt" 2>&1 & daemon=$!
  until [ -S "$D/run/libvirt-sock" ] && v list >/dev/null 2>&1; do
    kill -0 $daemon || { tail -3 "$D/log/libvirtd.txt"; exit 1; }
    sleep 0.05
  done
}

start
for i in $(seq "$N"); do
  { sector; head -c 1048064 /dev/zero; } >"$D/disks/$i.img"
  xml "$i" >"$D/disks/$i.xml"
  v define "$D/disks/$i.xml" >/dev/null && v start "instance-$(printf %08x "$i")" >/dev/null || exit 1
  t=tap$(printf %08x "$i")
  ip addr add "10.77.$i.1/24" dev "$t"; ip link set "$t" up
  ip neigh replace "10.77.$i.2" lladdr "52:54:00:77:00:$(printf %02x "$i")" dev "$t"
done
# What tests plug in.
cat >"$D/disks/disk.xml" <<X
<disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='$D/disks/more.img'/><target dev='vdb' bus='virtio'/></disk>
X
cat >"$D/disks/nic.xml" <<X
<interface type='ethernet'><mac address='52:54:00:78:00:01'/><target dev='tapmore'/><model type='ne2k_pci'/><rom enabled='no'/></interface>
X
head -c 1048576 /dev/zero >"$D/disks/more.img"
touch "$D/ready"
payload=$(head -c 1000 /dev/zero | tr '\0' x)
while :; do
  for i in $(seq "$N"); do printf %s "$payload" >"/dev/udp/10.77.$i.2/9"; done 2>/dev/null
  kill -0 $daemon 2>/dev/null || [ -e "$D/down" ] || start
  sleep 0.05
done
