#!/bin/bash
# again.sh LOG UNSTEADY CARGO-TEST...: runs the tests that failed in LOG once more, each alone. Only those of the programs,
# which wait for servers, clients and clocks, so that a busy machine can make them fail; a failure of delivery, store or
# library stays one, and so do more than three. The names of those that pass alone go to UNSTEADY, for the sum to name
# them. Fails unless all of them pass, and if a program of tests broke off: its tests may have failed without a word.
set -u
log=$1 unsteady=$2
shift 2
failed=$(awk '
  $1 == "Running" && match($0, /deps\/[a-z_]+-/) { suite = substr($0, RSTART + 5, RLENGTH - 6) }
  /^test .* \.\.\. FAILED/ { print suite, $2 }' "$log")
broke_off=$(awk '
  $1 == "Running" { if (runs) broke++; runs = 1 }
  /^test result: / { runs = 0 }
  END { print broke + runs }' "$log")
count=$(grep -c . <<<"$failed")
if [ "$broke_off" -gt 0 ]; then
  echo "again.sh: a program of tests broke off, with no result after its line 'Running'; nothing runs once more" >&2
  exit 1
fi
if [ "$count" -eq 0 ] || [ "$count" -gt 3 ] || grep -qvE '^(programs|servers|browser) ' <<<"$failed"; then
  exit 1
fi
status=0
while read -r suite name; do
  echo "=== once more, alone: $suite $name"
  if "$@" --test "$suite" -- --exact "$name" --include-ignored --nocapture </dev/null; then
    echo "$suite $name" >>"$unsteady"
  else
    status=1
  fi
done <<<"$failed"
exit $status
