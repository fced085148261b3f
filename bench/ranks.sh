#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Sweeps of one population on several numbers of ranks: efficiency (G17), more ranks than cores (G10), what resampling and
# order-free sums cost (G1, G9), and that weights exist once a node.
#
# usage: bench/ranks.sh [BUILD_FOLDER [MODEL]]
#
# BUILD_FOLDER holds bench_ranks (default build/release); MODEL as bench_ranks takes it (default: SmolLM2 where it is cached,
# else a random GPT-2 of 768 x 4 layers).
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
build=${1:-$here/../build/release}
model=${2:-default}
program=$build/bench_ranks
[[ -x $program ]] || { echo "[ranks.sh] error: no $program
hint: build the target bench_ranks, or give the build folder" >&2; exit 66; }

# line RANKS THREADS ARGUMENTS...: one line of bench_ranks, kept in $last
line() {
  local ranks=$1 threads=$2
  shift 2
  last=$(OMP_NUM_THREADS=$threads "$here/../launch/mpirun.sh" -n "$ranks" -- "$program" "$@")
  echo "$last"
}
field() { awk -v n="$1" '{print $n}' <<<"$last"; }
ratio() { awk -v a="$1" -v b="$2" 'BEGIN {printf "%.3f", a / b}'; }
verdict() { awk "BEGIN {print ($1) ? \"met\" : \"missed\"}"; }

echo "Sweeps of K = 64, T = 10, resampling at every step, model: $model"
"$program" --header
line 1 1 "$model" float32 64 10; one=$(field 3) cpu_one=$(field 15) pss_one=$(field 11) model_one=$(field 12) bits=${last##* }
line 1 2 "$model" float32 64 10; threads=$(field 3)
line 2 1 "$model" float32 64 10; two=$(field 3) cpu_two=$(field 15) bits_two=${last##* }
line 8 1 "$model" float32 64 10; eight=$(field 3) cpu_eight=$(field 15) pss_eight=$(field 11) model_eight=$(field 12) bits_eight=${last##* }
efficiency=$(awk -v a="$one" -v b="$two" 'BEGIN {printf "%.3f", a / (2 * b)}')
over=$(ratio "$eight" "$two")
echo "efficiency of 2 ranks against 1, one thread each: $efficiency; 1 rank with 2 threads: $(awk -v a="$one" -v b="$threads" \
  'BEGIN {printf "%.3f", a / (2 * b)}')   (G17: >= 0.90, $(verdict "$efficiency >= 0.90"))"
echo "8 ranks against 2 on the same cores: $over   (G10: <= 1.5, $(verdict "$over <= 1.5"))"
echo "the same by processor time, which other work on the machine disturbs less: efficiency $(ratio "$cpu_one" "$cpu_two")," \
  "8 ranks against 2 $(ratio "$cpu_eight" "$cpu_two")"
echo "memory that loading the model takes, 8 ranks against 8 times one: $(awk -v a="$model_eight" -v b="$model_one" \
  'BEGIN {printf "%.3f", a / (8 * b)}') (0.125: weights exist once; 1: once a rank); all memory: $(awk -v a="$pss_eight" \
  -v b="$pss_one" 'BEGIN {printf "%.3f", a / (8 * b)}')"
[[ $bits == "$bits_two" && $bits == "$bits_eight" ]] && echo "log Z: the same bits on 1, 2 and 8 ranks" ||
  echo "log Z: DIFFERENT bits on 1, 2 and 8 ranks"

echo
echo "Sweeps of K = 4096, T = 16 with models/tiny, resampling at every step"
"$program" --header
line 1 1 tiny float32 4096 16 5; share=$(field 7)
line 2 1 tiny float32 4096 16 5; share_two=$(field 7)
echo "resampling (sums, gather, offspring, plan, exchange) as a share of the step: $share on 1 rank, $share_two on 2 with" \
  "waiting   (G1: <= 0.01, $(verdict "$share <= 0.01"); G9: <= 0.05, $(verdict "$share <= 0.05"))"
