#!/usr/bin/env bash
# Fuzzes every target in turn for SECONDS each (default 60), over and over for ROUNDS rounds (default 1).
# New inputs go to a scratch folder; a crash stops the script and lies in fuzz/artifacts.
set -euo pipefail
cd "$(dirname "$0")"
seconds=${1:-60} rounds=${2:-1}
scratch=${FUZZ_SCRATCH:-target/corpus}
export RUSTC_BOOTSTRAP=1
for round in $(seq "$rounds"); do
    for target in corpus/*/; do
        name=$(basename "$target")
        mkdir -p "$scratch/$name"
        start=$(date +%s)
        cargo fuzz run --fuzz-dir . "$name" "$scratch/$name" "$target" -- \
            -max_total_time="$seconds" -rss_limit_mb=1024 -malloc_limit_mb=256 -max_len=65536 -print_final_stats=1 >"$scratch/$name.log" 2>&1 ||
            { tail -n 40 "$scratch/$name.log"; exit 1; }
        runs=$(sed -nE 's/^stat::number_of_executed_units: +//p' "$scratch/$name.log")
        echo "round $round  $name  $runs executions  $(($(date +%s) - start)) s"
    done
done
