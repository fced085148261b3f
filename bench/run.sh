#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs all benchmarks in their order and prints their tables; docs/performance.md explains them.
#
# usage: bench/run.sh [BUILD_FOLDER [NAME...]]    default: build/release, all of
#        decode heads cache exchange ranks shards ctl_update resampling checkpoint tokenizers
#
# Needs a build with TWISTOR_BENCH and, for exchange, TWISTOR_TESTS. Takes about five minutes on two idle cores; other work
# on the machine disturbs everything but counts. TWISTOR_BENCH_SCRATCH: where random models are kept (default /tmp).
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
build=${1:-$here/../build/release}
[[ -d $build ]] || { echo "[run.sh] error: no build folder $build
hint: launch/build.sh release, or give the folder" >&2; exit 66; }
build=$(cd "$build" && pwd)
shift || true
names=("$@")
((${#names[@]})) || names=(decode heads cache exchange ranks shards ctl_update resampling checkpoint tokenizers)

commit=$(git -C "$here" rev-parse --short HEAD 2>/dev/null || echo unknown)
[[ -z $(git -C "$here" status --porcelain --untracked-files=no 2>/dev/null) ]] || commit+=" with changes"
echo "machine: $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -1), $(env -u OMP_NUM_THREADS nproc) cores," \
  "$(awk '/MemTotal/ {printf "%.0f GiB", $2 / 1048576}' /proc/meminfo)"
echo "vectors: $(grep -o -w -m1 -E 'avx2|avx512f|avx512_bf16|amx_bf16' /proc/cpuinfo | sort -u | tr '\n' ' ')"
echo "load:    $(cut -d' ' -f1-3 /proc/loadavg) when started"
echo "date:    $(date -u +%Y-%m-%dT%H:%MZ)"
echo "commit:  $commit"

# on RANKS PROGRAM ARGUMENTS...: the environment that ranks get in real runs
on() {
  local ranks=$1
  shift
  "$here/../launch/mpirun.sh" -n "$ranks" -- "$@"
}

failed=0
for name in "${names[@]}"; do
  printf '\n== %s\n\n' "$name"
  [[ -x $build/bench_$name ]] || { echo "not built"; failed=1; continue; }
  case $name in
    exchange) on 2 "$build/bench_exchange" && echo && on 4 "$build/bench_exchange" && echo && on 8 "$build/bench_exchange" ;;
    ranks) "$here/ranks.sh" "$build" ;;
    checkpoint) "$build/bench_checkpoint" "${TWISTOR_BENCH_DISK:-$build}" ;;
    *) "$here/../launch/rank_env.sh" "$build/bench_$name" ;;
  esac || { echo "failed with exit code $?"; failed=1; }
done
exit $failed
