#!/bin/sh
# summary.sh LOG SKIPPED: what a log of tests comes to: the ten slowest, what was skipped, and the sum as the last line.
log=$1 skipped=$2
echo 'the ten slowest tests:'
sed -n 's/^test \(.*\) \.\.\. .* <\([0-9.]*\)s>$/\2 \1/p' "$log" | sort -rn | head -n 10 |
  while read -r seconds name; do printf '%10.1f s  %s\n' "$seconds" "$name"; done
[ ! -e "$skipped" ] || sort -u "$skipped"
count=0
[ ! -e "$skipped" ] || count=$(sort -u "$skipped" | wc -l)
sed -n 's/^test result: .* \([0-9]*\) passed; \([0-9]*\) failed.*/\1 \2/p' "$log" |
  awk -v skipped="$count" '{ p += $1; f += $2 } END { printf "%d passed, %d failed, %d skipped\n", p - skipped, f, skipped }'
