#!/bin/sh
# summary.sh LOG SKIPPED UNSTEADY: what a log of tests comes to: the ten slowest, what was skipped, what passed only alone,
# and the sum as the last line.
log=$1 skipped=$2 unsteady=$3
names() { [ ! -e "$1" ] || sort -u "$1"; }
echo 'the ten slowest tests:'
sed -n 's/^test \(.*\) \.\.\. .* <\([0-9.]*\)s>$/\2 \1/p' "$log" | sort -rn | head -n 10 |
  while read -r seconds name; do printf '%10.1f s  %s\n' "$seconds" "$name"; done
names "$skipped"
names "$unsteady" | sed 's/^/UNSTEADY TEST: failed beside others, passed alone: /'
sed -n 's/^test result: .* \([0-9]*\) passed; \([0-9]*\) failed.*/\1 \2/p' "$log" |
  awk -v skipped="$(names "$skipped" | wc -l)" -v unsteady="$(names "$unsteady" | wc -l)" '{ p += $1; f += $2 }
    END { printf "%d passed, %d failed, %d skipped, %d unsteady\n", p - skipped, f - unsteady, skipped, unsteady }'
