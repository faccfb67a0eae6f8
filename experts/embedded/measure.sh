#!/bin/sh
# Measures the embedded experts and learns the policy that ships with them: probes all of them on the training
# questions, trains policy.bin, probes them on the held-out questions into outcomes.jsonl.gz, and judges the policy there.
# Nothing about who is good at what is written by hand. Run it after a change of a model, of the questions, of the
# router's features or of the policy's format. Some minutes.
#
#     experts/embedded/measure.sh [PROGRAM]
set -eu
here=$(cd -- "$(dirname -- "$0")" && pwd)
program=${1:-$here/../../build/release/skillyard}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export SKILLYARD_DISCOVER=off

# Without the old policy, which a program of today may not be able to read.
rm -f "$here/policy.bin"
"$program" expert probe --data "$work" --questions "$here/training.jsonl.gz" --out "$work/training.jsonl.gz" \
    --per-skill 150 --concurrency 16 --tokens 160
"$program" train --outcomes "$work/training.jsonl.gz" --out "$here/policy.bin"
"$program" expert probe --data "$work" --questions "$here/questions.jsonl.gz" --out "$here/outcomes.jsonl.gz" \
    --per-skill 1000 --concurrency 16 --tokens 160
"$program" evaluate --outcomes "$here/outcomes.jsonl.gz" --policy "$here/policy.bin" --baselines
