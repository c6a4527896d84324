#!/bin/bash
# ssh-hosts.sh DIR N PORT: N healthy ssh hosts h001, h002 … and one host per way of failing, each on a loopback address of its
# own (127.10.x.y and 127.11.0.y, all on PORT) with a host key of its own. Runs in the foreground; DIR/ready appears when all
# listen. It ends when standard input closes; standard output closes once it has ended. Ask them with: ssh -F DIR/ssh_config
# NAME command. DIR/hosts/NAME is each host's $SCM_FOLD.
# Needs openssh-server, python3; busybox for the host busybox, tcsh for the host csh (left out when absent).
# Beside DIR/ssh_config (key, known_hosts, BatchMode, nothing bounded) there is DIR/names, one host a line.
set -u
exec 3<&0 </dev/null
D=$(mkdir -p "$1" && cd "$1" && pwd); N=$2; P=$3
mkdir -p /run/sshd 2>/dev/null; mkdir -p "$D"/{keys,conf,shells,hosts,log}; chmod 700 "$D" "$D/keys"; rm -f "$D/ready" "$D/names"
[ -f "$D/keys/user" ] || ssh-keygen -q -t ed25519 -N '' -C '' -f "$D/keys/user"
[ -f "$D/keys/stranger" ] || ssh-keygen -q -t ed25519 -N '' -C '' -f "$D/keys/stranger"
: > "$D/known_hosts"; : > "$D/keys/nobody"
cat > "$D/ssh_config" <<C
Host *
  User $(id -un)
  IdentityFile $D/keys/user
  IdentitiesOnly yes
  IdentityAgent none
  GlobalKnownHostsFile /dev/null
  UserKnownHostsFile $D/known_hosts
  Port $P
C
PIDS=()
end(){ trap - TERM INT; kill "${PIDS[@]}" 2>/dev/null; for f in "$D"/conf/*.pid; do [ -f "$f" ] && kill "$(cat "$f")" 2>/dev/null; done; rm -f "$D/ready"; exit 0; }
trap end TERM INT
# The other end of standard input is with the process that started this; should it die, no server must outlive them.
( read -r _ <&3 || true; kill -TERM $$ ) 2>/dev/null &
exec 3<&- >"$D/output" 2>&1

# name NAME ADDRESS
name(){ echo "$1" >> "$D/names"; printf 'Host %s\n  HostName %s\n' "$1" "$2" >> "$D/ssh_config"; mkdir -p "$D/hosts/$1"; }
# host NAME ADDRESS [SHELL] [sshd option]…: an sshd; SHELL is a script in DIR/shells that gets every command
host(){
  local n=$1 a=$2 s=${3:-}; shift; shift; [ $# -gt 0 ] && shift
  [ -f "$D/keys/$n" ] || ssh-keygen -q -t ed25519 -N '' -C '' -f "$D/keys/$n"
  { echo "ListenAddress $a:$P"; echo "HostKey $D/keys/$n"; echo "PidFile $D/conf/$n.pid"; echo "SetEnv SCM_FOLD=$D/hosts/$n"
    [ -n "$s" ] && echo "ForceCommand $D/shells/$s"
    for o in "$@"; do echo "$o"; done
    cat <<C
AuthorizedKeysFile $D/keys/user.pub
UsePAM no
StrictModes no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
PermitUserEnvironment no
Subsystem sftp internal-sftp
MaxStartups 100:30:200
UseDNS no
PrintMotd no
PrintLastLog no
C
  } > "$D/conf/$n"
  /usr/sbin/sshd -f "$D/conf/$n" -E "$D/log/$n" || exit 1
  [ "$n" = wrong_key ] || [ "$n" = unknown_key ] || echo "[$a]:$P $(cut -d' ' -f1,2 "$D/keys/$n.pub")" >> "$D/known_hosts"
  name "$n" "$a"
}
# shell NAME < script: what a host does with a command
shell(){ { echo '#!/bin/sh'; cat; } > "$D/shells/$1"; chmod 755 "$D/shells/$1"; }

shell hang <<'S'
exec sleep 600
S
shell noisy <<'S'
# a profile, a motd and a quota line before the output, a farewell after it: the most common breakage of all
printf 'Last login: Mon Mar 30 03:30:00 2026 from 10.0.0.1\r\n*** This system is monitored ***\n12\t/not/a/tarball.gz\n\n'
echo 'stty: standard input: Inappropriate ioctl for device' >&2
/bin/sh -c "$SSH_ORIGINAL_COMMAND"; rc=$?
echo 'bye'; exit $rc
S
shell restricted <<S
# a shell with its builtins, ls and cat: no find, no stat, no printf but the shell's
export PATH=$D/bin/restricted; exec /bin/rbash --norc -c "\$SSH_ORIGINAL_COMMAND"
S
shell nologin <<'S'
echo 'This account is currently not available.'; exit 1
S
shell busybox <<S
export PATH=$D/bin/busybox; exec $D/bin/busybox/sh -c "\$SSH_ORIGINAL_COMMAND"
S
shell no_sha256sum <<S
export PATH=$D/bin/no_sha256sum; exec /bin/sh -c "\$SSH_ORIGINAL_COMMAND"
S
shell exit255 <<'S'
/bin/sh -c "$SSH_ORIGINAL_COMMAND"; exit 255
S
shell killed <<'S'
echo begun; kill -KILL $$
S
shell flood <<'S'
exec cat /dev/zero
S
shell csh <<'S'
exec tcsh -f -c "$SSH_ORIGINAL_COMMAND"
S
mkdir -p "$D"/bin/{restricted,busybox,no_sha256sum}
ln -sf /bin/ls /bin/cat "$D/bin/restricted/"
for c in sh find stat printf ls cat md5sum gzip gunzip tar date df du head tail sort timeout tr wc xargs uname echo test sleep; do
  [ -x /bin/busybox ] && ln -sf /bin/busybox "$D/bin/busybox/$c"; w=$(type -P $c) && ln -sf "$w" "$D/bin/no_sha256sum/$c"; done

for ((i = 1; i <= N; i++)); do host "$(printf 'h%03d' $i)" "127.10.$((i / 250)).$((i % 250 + 1))"; done
v(){ K=$((${K:-0} + 1)); A=127.11.0.$K; }                       # the next variant's address
v; name dead $A                                                  # nobody listens: refused
v; name blackhole $A;  FAKE="blackhole $A"                       # SYN is never answered
v; name mute $A;       FAKE+=" mute $A"                          # TCP, then nothing
v; name half $A;       FAKE+=" half $A"                          # the banner, then nothing
v; name closes $A;     FAKE+=" closes $A"                        # TCP, then closed at once (MaxStartups, tcpwrappers)
v; name not_ssh $A;    FAKE+=" not_ssh $A"                       # another protocol's greeting
v; host hang $A hang                                             # logs in, then nothing
v; host wrong_key $A;  echo "[$A]:$P $(cut -d' ' -f1,2 "$D/keys/stranger.pub")" >> "$D/known_hosts"
v; host unknown_key $A                                           # not in known_hosts
v; host refused_key $A '' "AuthorizedKeysFile $D/keys/nobody"
v; host noisy $A noisy "Banner $D/conf/banner"; printf 'UNAUTHORISED ACCESS IS PROHIBITED\n' > "$D/conf/banner"
v; host restricted $A restricted
v; host nologin $A nologin
[ -x /bin/busybox ] && { v; host busybox $A busybox; }
v; host no_sha256sum $A no_sha256sum
v; host exit255 $A exit255                                       # the command's own code is 255
v; host killed $A killed                                         # the command dies of a signal
v; host flood $A flood                                           # output without end
[ -n "$(type -P tcsh)" ] && { v; host csh $A csh; }              # the login shell is no Bourne shell
v; host sftp_only $A '' 'ForceCommand internal-sftp'
# slow 1 kB/s · slow_10k 10 kB/s · stall: silent after 20 kB · cut: closed after 20 kB; each before an sshd of its own
for n in slow slow_10k stall cut; do v; B=127.12.0.$K; host $n $B; sed -i '$d' "$D/ssh_config"; printf '  HostName %s\n' $A >> "$D/ssh_config"
  sed -i "s/^\[$B\]/[$A]/" "$D/known_hosts"; FAKE+=" $n $A"; done

python3 - "$P" $FAKE <<'E' &
import asyncio, socket, sys
port, rest = int(sys.argv[1]), sys.argv[2:]
fakes = dict(zip(rest[::2], rest[1::2]))

async def pump(reader, writer, name, down):
    sent = 0
    while data := await reader.read(512):
        if name in ('slow', 'slow_10k'):
            await asyncio.sleep(len(data) / (1000 if name == 'slow' else 10000))
        if down and sent + len(data) > 20000:
            if name == 'stall': await asyncio.sleep(1e6)
            if name == 'cut': break
        writer.write(data); await writer.drain(); sent += len(data)
    writer.close()

def serve(name, address):
    async def client(reader, writer):
        if name == 'mute': await asyncio.sleep(1e6)
        if name == 'half': writer.write(b'SSH-2.0-OpenSSH_9.2\r\n'); await writer.drain(); await asyncio.sleep(1e6)
        if name == 'closes': return writer.close()
        if name == 'not_ssh': writer.write(b'220 mail.example ESMTP\r\n'); await writer.drain(); await asyncio.sleep(1e6)
        r, w = await asyncio.open_connection(address.replace('127.11.', '127.12.'), port)
        await asyncio.gather(pump(reader, w, name, False), pump(r, writer, name, True), return_exceptions=True)
    return asyncio.start_server(client, address, port)

async def main():
    full = socket.socket(); full.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    full.bind((fakes.pop('blackhole'), port)); full.listen(0)     # its queue is filled below: the kernel drops every further SYN
    held = []
    for _ in range(4):
        s = socket.socket(); s.setblocking(False); s.connect_ex(full.getsockname()); held.append(s)
    servers = [await serve(n, a) for n, a in fakes.items()]
    await asyncio.gather(*(s.serve_forever() for s in servers))
asyncio.run(main())
E
PIDS+=($!)
# ready when the last of the fakes listens
for ((i = 0; i < 200; i++)); do (exec 3<>/dev/tcp/${FAKE##* }/$P) 2>/dev/null && break; sleep 0.05; done
touch "$D/ready"; wait
