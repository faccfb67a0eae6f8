#!/bin/bash
# The native engine beside llama.cpp: the same file and threads, rounds that alternate, medians and their ratio.
#   LLAMA_BENCH=/path/to/llama-batched-bench bench/moe_speed.sh [SHAPE] [TYPE] [ROUNDS] [THREADS...]
# Defaults: olmoe-1b-7b Q4_K_M 5 rounds, 1 and 2 threads. The other tool measures decoding of 1, 8 and 32 sequences
# and a prompt of 256. SKILLYARD_BIN names the program, MODEL a file (else one is made and kept in TMPDIR).
set -euo pipefail
cd -- "$(dirname -- "$0")/.."
[ -n "${LLAMA_BENCH:-}" ] || { echo "skipped: LLAMA_BENCH does not name llama.cpp's llama-batched-bench"; exit 77; }
bin=${SKILLYARD_BIN:-build/release/skillyard}
shape=${1:-olmoe-1b-7b} type=${2:-Q4_K_M} rounds=${3:-5}
threads=("${@:4}")
[ ${#threads[@]} -gt 0 ] || threads=(1 2)
model=${MODEL:-${TMPDIR:-/tmp}/$shape.$type.gguf}
[ -f "$model" ] || "$bin" model synth --shape "$shape" --type "$type" --out "$model"
cat -- "$model" > /dev/null  # both start from the page cache
LD_LIBRARY_PATH=$(dirname -- "$LLAMA_BENCH")${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
export LD_LIBRARY_PATH
log=$(mktemp)
trap 'rm -f -- "$log"' EXIT

# Lines "who threads what tokens/s".
ours() {
  "$bin" model bench "$model" --threads "$1" --rounds 1 --steps 8 |
    awk -v t="$1" '$1 == "decode" || $1 == "prefill" { print "ours", t, $1 $2, $4 }' >> "$log"
}
theirs() {
  "$LLAMA_BENCH" -m "$model" -t "$1" -tb "$1" -c 4096 -b 256 -ub 256 -npp "$2" -ntg 8 -npl "$3" 2> /dev/null |
    awk -F'|' -v t="$1" -v p="$2" '$2 + 0 > 0 {
      if (p > 1) print "theirs", t, "prefill" p, $7 + 0; else print "theirs", t, "decode" ($4 + 0), $9 + 0 }' >> "$log"
}
for round in $(seq "$rounds"); do
  for t in "${threads[@]}"; do
    ours "$t"
    theirs "$t" 1 1,8,32
    theirs "$t" 256 1
  done
done
sort -k2,2n -k3,3 -k1,1 -k4,4n "$log" | awk '
  { key = $2 " " $3; v[key, $1, ++n[key, $1]] = $4; if (!(key in seen)) { seen[key] = 1; order[++keys] = key } }
  function median(what, who) { return v[what, who, int((n[what, who] + 1) / 2)] }
  END {
    printf "%-8s %-12s %10s %10s %7s\n", "threads", "what", "ours", "llama.cpp", "ratio"
    for (i = 1; i <= keys; ++i) {
      split(order[i], part, " ")
      a = median(order[i], "ours"); b = median(order[i], "theirs")
      printf "%-8s %-12s %10.2f %10.2f %7.2f\n", part[1], part[2], a, b, (b > 0 ? a / b : 0)
    }
  }'
