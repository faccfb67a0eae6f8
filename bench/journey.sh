#!/bin/sh
# The main job on real recorded answers: accuracy over HTTP beside the offline evaluator's, row by row.
# Needs SKILLYARD_DATA (folder with routing/*.jsonl.gz) and a release build; [FILE] [SEED] choose another run.
set -eu
cd -- "$(dirname -- "$0")/.."
[ -n "${SKILLYARD_DATA:-}" ] || { echo "skipped: SKILLYARD_DATA is not set"; exit 77; }
SKILLYARD_BIN=${SKILLYARD_BIN:-build/release/skillyard}
export SKILLYARD_BIN
exec python3 tests/e2e/journey.py --outcomes "${1:-$SKILLYARD_DATA/routing/mmlu_pro.fit.jsonl.gz}" --seed "${2:-1}"
