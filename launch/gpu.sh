#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Checks and measures twistor on the GPU of this machine, in under ten minutes.
#
# usage: launch/gpu.sh [OUT]            with build/release, or as FOLDER/gpu.sh in a pack of launch/gpu_pack.sh
#   OUT   folder for gpu.md, gpu.json and logs; default: gpu_report
#
# In this order: what the machine is; every test that knows engines, on the GPU, with our kernels and with ATen's; NCCL, on two
# GPUs if there are two; operations and kernels under compute-sanitizer, if it is there (memcheck, racecheck, synccheck,
# initcheck); whole training runs, on one GPU, on two ranks that share it, and on two; sweeps (bench_engine), an encoder
# (bench_encoder) and updates of three kinds of twists measured, beside the transformers library, if python3 has it. Ends with 1
# if a test failed.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
case ${1:-} in
  -h | --help) sed -n '2,/^[^#]/{/^# SPDX/d;/^#/!d;s/^# \{0,1\}//;p}' "$0"; exit 0 ;;
  -*) printf "[gpu.sh] error: unknown argument '%s'\nhint: launch/gpu.sh --help lists what it takes\n" "$1" >&2; exit 64 ;;
esac
out=${1:-gpu_report}
mkdir -p "$out"
out=$(cd "$out" && pwd)
if [[ -x $here/run.sh ]]; then
  root=$here
  bench_folder=$here
  program() { "$here/run.sh" "$@"; }
else
  root=$(cd "$here/.." && pwd)
  set -a
  . "$here/openmpi.env"
  set +a
  bench_folder=$root/bench
  program() {  # [-n RANKS] NAME ARGUMENTS...
    local launcher=()
    [[ $1 != -n ]] || { launcher=(mpirun -n "$2"); shift 2; }
    local name=$1
    shift
    "${launcher[@]}" "$root/build/release/$name" "$@"
  }
fi
cd "$root"
export TWISTOR_BENCH_SCRATCH=${TWISTOR_BENCH_SCRATCH:-/tmp} OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
say() { printf '[gpu.sh] %s\n' "$*"; }

command -v nvidia-smi >/dev/null || { printf '[gpu.sh] error: nvidia-smi is missing\nhint: is there a GPU and a driver?\n' >&2; exit 78; }
gpu=$(nvidia-smi --query-gpu=name --format=csv,noheader | head -n 1)
driver=$(nvidia-smi --query-gpu=driver_version --format=csv,noheader | head -n 1)
version=$(program twistor --version)
n_failed=0 results=()

# check NAME PROGRAM ARGUMENTS...: one line of the report. Tests that all skip themselves have shown nothing.
check() {
  local name=$1 begin=$SECONDS verdict=passed
  shift
  if ! program "$@" >"$out/$name.log" 2>&1; then
    verdict=FAILED n_failed=$((n_failed + 1))
  elif grep -q 'PASSED.* 0 tests' "$out/$name.log"; then
    verdict=skipped
  fi
  results+=("$name|$verdict|$((SECONDS - begin))")
  say "$name: $verdict"
}
export TWISTOR_TEST_DEVICE=cuda
for test in unit_device unit_model unit_potential unit_app unit_learn unit_twist mpi_smc mpi_learn; do
  [[ -x $root/bin/$test || -x $root/build/release/$test ]] && check "$test" "$test" --gtest_brief=1 --gtest_filter='*cuda*:*Engines*-*mulated*'
done
n_gpus=$(nvidia-smi --list-gpus | wc -l)
check nccl gpu_nccl --gtest_brief=1
((n_gpus < 2)) || check nccl_2_gpus -n 2 gpu_nccl --gtest_brief=1
if command -v compute-sanitizer >/dev/null; then
  torch=${TORCH_LIB:-$(python3 -c 'import importlib.util as u; print(u.find_spec("torch").submodule_search_locations[0] + "/lib")')}
  for tool in memcheck racecheck synccheck initcheck; do
    begin=$SECONDS verdict=passed
    # initcheck would name what LibTorch's own kernels leave unwritten.
    LD_LIBRARY_PATH=$torch:$root/lib compute-sanitizer --tool $tool --error-exitcode 9 --kernel-name-exclude kernel_substring=at:: \
      "$(compgen -G "$root/bin/unit_device" || echo "$root/build/release/unit_device")" --gtest_brief=1 \
      --gtest_filter='*TensorVocabulary*/cuda:*Engines*/cuda' >"$out/$tool.log" 2>&1 || { verdict=FAILED; n_failed=$((n_failed + 1)); }
    results+=("compute-sanitizer $tool|$verdict|$((SECONDS - begin))")
    say "$tool: $verdict"
  done
fi
unset TWISTOR_TEST_DEVICE
job=(twistor train configs/quickstart.cfg --run.device=cuda --train.updates=40 --run.resume=never --run.progress=false)
check train "${job[@]}" --run.output="$out/train"
CUDA_VISIBLE_DEVICES=0 check train_2_ranks -n 2 "${job[@]}" --run.output="$out/train_2"
((n_gpus < 2)) || check train_2_gpus -n 2 "${job[@]}" --run.collectives=nccl --run.output="$out/train_nccl"

: >"$out/bench.txt"
for kernels in own aten; do
  for dtype in bfloat16 float32; do
    say "bench: $kernels, $dtype"
    program bench_engine cuda $kernels random-gpt2 $dtype 64,256,1024,4096 20 >>"$out/bench.txt" 2>>"$out/bench.log" || n_failed=$((n_failed + 1))
  done
done
say "bench: without graphs"
program bench_engine cuda own random-gpt2 bfloat16 64,256,1024 20 off >>"$out/bench.txt" 2>>"$out/bench.log" || n_failed=$((n_failed + 1))
say "bench: encoder"
program bench_encoder random-bert 1024 40 cuda >>"$out/bench.txt" 2>>"$out/bench.log" || n_failed=$((n_failed + 1))
# Updates of CTL on bench_engine's model, the last six of eight: a head whose parameters are few, and two of 154 MB, of which one with
# scores of few rows at a time; and bodies.
cat >"$out/update.cfg" <<CFG
[model]
path = $TWISTOR_BENCH_SCRATCH/twistor-bench-768x12
dtype = bfloat16
[prompt]
ids = 1,2,3,4,5,6,7,8
[target]
potential = contains
ids = 11
length = 20
log_floor = -3
[train]
updates = 8
batch = 500
positives = weighted
[exact]
source = none
[smc]
particles = 256
[evaluate]
repeats = 1
samples = 8
CFG
measure_updates() {  # NAME KEYS...
  program twistor train "$out/update.cfg" --run.device=cuda "${@:2}" --run.resume=never --run.progress=false \
    "--run.output=$out/update_$1" >"$out/update_$1.log" 2>&1 || return
  python3 - "$out/update_$1/metrics.jsonl" "$1" >>"$out/bench.txt" <<'PY'
import json, statistics, sys
rows = [json.loads(line) for line in open(sys.argv[1])]
seconds = [row["seconds"] for row in rows if "loss" in row]
assert len(seconds) == 8, rows
print(f"update of {sys.argv[2]}: median {statistics.median(seconds[2:]):.4f} s, least {min(seconds[2:]):.4f} s")
PY
}
for keys in 'tied_mlp' 'linear' 'mlp' 'linear --smc.particles_at_once=64' 'linear --twist.body=copy' 'linear --twist.body=lora'; do
  say "bench: updates of $keys"
  # shellcheck disable=SC2086 # words
  measure_updates "$(tr -cs 'a-z0-9_\n' _ <<<"$keys")" --twist.form=$keys || n_failed=$((n_failed + 1))
done
if python3 -c 'import transformers' 2>/dev/null; then
  say "bench: transformers"
  python3 "$bench_folder/transformers_generate.py" "$TWISTOR_BENCH_SCRATCH/twistor-bench-768x12" bfloat16 64,256,1024,4096 \
    >>"$out/bench.txt" 2>>"$out/bench.log" || say "transformers: failed, see bench.log"
fi

{
  printf '# twistor on %s\n\n%s, driver %s, %s\n\n| check | result | s |\n|---|---|---|\n' "$gpu" "$(date -u +%F)" "$driver" "$version"
  for row in "${results[@]}"; do printf '| %s | %s | %s |\n' "${row%%|*}" "$(cut -d'|' -f2 <<<"$row")" "${row##*|}"; done
  echo
  sed 's/^/    /' "$out/bench.txt"
} >"$out/gpu.md"
GPU=$gpu DRIVER=$driver VERSION=$version RESULTS=$(printf '%s\n' "${results[@]}") python3 - "$out" <<'PY'
import json, os, pathlib, sys
folder = pathlib.Path(sys.argv[1])
checks = [dict(zip(("name", "result", "seconds"), line.split("|"))) for line in os.environ["RESULTS"].splitlines()]
bench = (folder / "bench.txt").read_text().splitlines()
(folder / "gpu.json").write_text(json.dumps({"gpu": os.environ["GPU"], "driver": os.environ["DRIVER"],
                                             "twistor": os.environ["VERSION"], "checks": checks, "bench": bench}, indent=1))
PY
say "report: $out/gpu.md"
((n_failed == 0))
