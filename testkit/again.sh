#!/bin/bash
# again.sh LOG UNSTEADY CARGO-TEST...: runs the tests that failed in LOG once more, each alone. Only those of the programs,
# which wait for servers, clients and clocks, so that a busy machine can make them fail; a failure of delivery, store or
# library stays one, and so do more than three. The names of those that pass alone go to UNSTEADY, for the sum to name
# them. Fails unless all of them pass.
set -u
log=$1 unsteady=$2
shift 2
failed=$(awk '
  $1 == "Running" && match($0, /deps\/[a-z_]+-/) { suite = substr($0, RSTART + 5, RLENGTH - 6) }
  /^test .* \.\.\. FAILED/ { print suite, $2 }' "$log")
count=$(grep -c . <<<"$failed")
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
