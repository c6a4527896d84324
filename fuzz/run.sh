#!/bin/sh
# Runs every fuzz target for SECONDS each (120 by default) and fails on a finding.
# usage: fuzz/run.sh [SECONDS [TARGET...]]
set -eu
cd "$(dirname "$0")/.."

seconds=${1:-120}
case $seconds in
'' | *[!0-9]*)
    echo "usage: fuzz/run.sh [SECONDS [TARGET...]]" >&2
    exit 2
    ;;
esac
[ $# -eq 0 ] || shift
[ $# -gt 0 ] || set -- line_protocol config condor_json cloud_status_json batch dashboard influxql panda backups libvirt slurm gpu node agents listener

if ! cargo fuzz --version >/dev/null 2>&1; then
    echo "fuzz/run.sh: cargo-fuzz is not installed: cargo install cargo-fuzz --locked" >&2
    exit 2
fi

# The sanitizers are flags of the nightly compiler; this lets the stable one take them.
export RUSTC_BOOTSTRAP=1

found=
for target in "$@"; do
    # The seeds are read, and what is found beside them is kept in fuzz/corpus, which git ignores.
    mkdir -p "fuzz/corpus/$target"
    cargo fuzz run "$target" "fuzz/corpus/$target" "fuzz/seeds/$target" -- \
        -dict="fuzz/dictionaries/$target.dict" -max_total_time="$seconds" -max_len=8192 -timeout=10 \
        -rss_limit_mb=2048 -print_final_stats=1 || found="$found $target"
done
if [ -n "$found" ]; then
    echo "fuzz/run.sh: findings in:$found; the inputs are in fuzz/artifacts" >&2
    exit 1
fi
