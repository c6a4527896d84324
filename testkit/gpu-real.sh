#!/bin/sh
# gpu-real.sh build FOLDER: builds the test of a real GPU and qagent into FOLDER, for a machine without a toolchain.
# gpu-real.sh run FOLDER: runs them there: reads the cards with their own nvidia-smi, prints what they tell, and fails if one does not answer.
# The machine needs glibc of the build's version or newer, and nvidia-smi on PATH.
set -eu
folder=${2:?"usage: gpu-real.sh build|run FOLDER"}
case ${1:-} in
build)
    mkdir -p "$folder"
    folder=$(cd "$folder" && pwd)
    cd "$(dirname "$0")/.."
    cargo build --locked --bin qagent
    # The path of the library's tests stands in the last line that names an executable.
    tests=$(cargo test --locked --lib --no-run --message-format short 2>&1 | sed -n 's/.*Executable .*(\(.*\))$/\1/p' | tail -1)
    strip -o "$folder/gridmon-tests" "$tests"
    strip -o "$folder/qagent" "${CARGO_TARGET_DIR:-target}/debug/qagent"
    ls -l "$folder"
    ;;
run)
    GRIDMON_GPU=1 "$folder/gridmon-tests" --ignored --exact sources::gpu::tests::gpu_real --nocapture --test-threads 1
    "$folder/qagent" once GPU
    ;;
*)
    echo "usage: gpu-real.sh build|run FOLDER" >&2
    exit 2
    ;;
esac
