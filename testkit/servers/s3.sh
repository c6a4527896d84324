#!/bin/bash
# s3.sh S3S-FS DIR PORT: an object store on 127.0.0.1:PORT by the program S3S-FS, in the foreground, objects as plain files in
# DIR/BUCKET/KEY. Its key is AKIDEXAMPLE, its secret "secret/with+slash". It takes path style, and BUCKET.localhost. It ends when
# standard input closes; standard output closes once it has ended. It checks signatures, clocks, names of buckets and Content-MD5;
# unlike S3 it makes a bucket that is missing at the first PUT, and takes every region.
set -euo pipefail
program=$1 dir=$2 port=$3
mkdir -p "$dir"

# The other end of standard input is with the process that started this; should it die, the store must not outlive them.
( read -r _ || true; kill -KILL $$ ) <&0 2>/dev/null &
exec </dev/null >>"$dir.log" 2>&1
exec "$program" --host 127.0.0.1 --port "$port" --access-key AKIDEXAMPLE --secret-key secret/with+slash \
  --domain "localhost:$port" "$dir"
