#!/bin/bash
# install.sh [SUITE…]: brings what the tests talk to onto a Debian 12 machine. As packages: Apache, Carbon, carbon-c-relay,
# graphite-web, BusyBox, Chromium, collectd, exim4, faketime, groff, haproxy, InfluxDB, iproute2, libvirt with QEMU, MariaDB, nginx, npm, OpenRC,
# openssh-server, openssl, Prometheus (for its promtool) and its node exporter, python3 with pip, rrdtool, socat, sqlite3, strace, tcsh and tini. Below
# ${GRIDMON_SERVERS:-target/servers}: psutil from PyPI, HTCondor of each SUITE (trixie when none is named; sid as well if wanted)
# and Slurm 22.05, unpacked, and s3s-fs, built by cargo. Does and prints nothing when all is there. Without root it says so and
# exits 0: the tests that miss a server skip themselves. With sid also bare Debians, into which packages are installed.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.."
if [ "$(id -u)" != 0 ]; then
  echo "install.sh: not root, so nothing is installed; the tests that need real servers will be skipped" >&2
  exit 0
fi

missing=()
for package in apache2-bin busybox carbon-c-relay chromium chromium-driver collectd-core exim4-daemon-light faketime groff-base \
  graphite-carbon graphite-web haproxy influxdb iproute2 libvirt-clients libvirt-daemon libvirt-daemon-driver-qemu \
  mariadb-server nginx openrc openssh-server openssl prometheus prometheus-node-exporter python3 python3-pip qemu-system-x86 rrdtool socat sqlite3 strace tcsh \
  tini tzdata; do
  [ "$(dpkg-query -W -f '${db:Status-Status}' $package 2>/dev/null || true)" = installed ] || missing+=("$package")
done
# For `make test-all`, which builds and installs packages.
case " $* " in *' sid '*)
  for package in binutils debootstrap rpm; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' $package 2>/dev/null || true)" = installed ] || missing+=("$package")
  done ;;
esac
# It brings axe-core, by which the page's accessibility is tested; any npm will do.
command -v npm >/dev/null || missing+=(npm)
if [ ${#missing[@]} -gt 0 ]; then
  log=$(mktemp)
  # 101 forbids the packages to start services: the tests start their own, on ports of their own.
  policy=/usr/sbin/policy-rc.d kept=
  restore() { rm -f "$log" "$policy"; [ -z "$kept" ] || mv "$kept" "$policy"; }
  trap restore EXIT
  [ ! -e $policy ] || { kept=$policy.gridmon; mv $policy $kept; }
  printf '#!/bin/sh\nexit 101\n' > $policy
  chmod 755 $policy
  export DEBIAN_FRONTEND=noninteractive
  install() { apt-get install -y -qq --no-install-recommends "${missing[@]}" </dev/null >"$log" 2>&1; }
  # Package lists may be absent (images often delete them) or so old that a package's version is gone from the mirror.
  install || { apt-get update -qq && install; } || { cat "$log" >&2; exit 1; }
fi

servers=${GRIDMON_SERVERS:-target/servers}
# The peer of qagent's sensors, for nobody but the tests.
if [ ! -d "$servers/psutil/psutil" ]; then
  log=${log:-$(mktemp)}
  /usr/bin/python3 -m pip install --quiet --disable-pip-version-check --no-input --root-user-action=ignore \
    --target "$servers/psutil" psutil==7.2.2 >"$log" 2>&1 || { cat "$log" >&2; exit 1; }
  rm -f "$log"
fi
[ $# -gt 0 ] || set -- trixie
for suite; do "$here/htcondor-unpack.sh" "$servers/htcondor-$suite" "$suite"; done
"$here/slurm-unpack.sh" "$servers/slurm-bookworm" bookworm

# What the packages of `make dist` are made with and installed into, for `make test-all` alone.
case " $* " in *' sid '*)
  for suite in bookworm bullseye trixie; do "$here/debian-root.sh" "$servers/debian-$suite.tar" "$suite"; done ;;
esac

# An object store. No package has it; its lock file fixes what it is built of.
s3s=$servers/s3s-fs
if [ ! -x "$s3s/bin/s3s-fs" ]; then
  log=$(mktemp)
  # From /, so that no file of this project says how to build it.
  root=$(mkdir -p "$s3s" && cd "$s3s" && pwd)
  (cd / && cargo install --quiet --locked s3s-fs --version 0.14.1 --features binary --debug --root "$root" --target-dir "$root/build") \
    >"$log" 2>&1 || { cat "$log" >&2; rm -f "$log"; exit 1; }
  rm -rf "$log" "$root/build"
fi
