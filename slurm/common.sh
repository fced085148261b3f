# SPDX-License-Identifier: Apache-2.0
# What the batch scripts share: the program, the environment of the ranks, and how to survive preemption and lost nodes.
# shellcheck shell=bash
#
# Variables of the environment (sbatch takes them along):
#   TWISTOR_SRUN_MPI       how srun starts MPI ranks, one of those of `srun --mpi=list` (default pmix)
#   TWISTOR_LAUNCHER       srun (default), or mpirun where srun cannot start Open MPI's ranks
#   TWISTOR_RETRIES        how often a step that crashed is started again in the same job (default 0)
#   TWISTOR_MAX_RESTARTS   how often a job goes back into the queue (default 100)
#   TWISTOR_RANK_LOGS      a folder for one log a rank; otherwise all write into the job's
#   TWISTOR_CONTAINER      an Apptainer image with twistor (container/twistor.def), in which the ranks run
#   TWISTOR_SITE           a file of yours that is sourced first, such as one with `module load openmpi` (default slurm/site.sh)
#
# Before it, a batch script has set `home`, the project's folder, and trapped USR1 into `twistor_signal`.

site=${TWISTOR_SITE:-$home/slurm/site.sh}
if [[ -r $site ]]; then
  # shellcheck source=/dev/null
  . "$site"
elif [[ -n ${TWISTOR_SITE:-} ]]; then
  printf 'error: TWISTOR_SITE: cannot read %s\nhint: give a file that all nodes see, or leave it unset\n' "$site" >&2
  exit 66
fi
# An installed folder (launch/install.sh) has the program beside the scripts.
program=$home/build/release/twistor
[[ -x $program ]] || program=$home/bin/twistor
[[ -x $program ]] || program=$(command -v twistor) || [[ -n ${TWISTOR_CONTAINER:-} ]] || {
  printf 'error: there is no build/release/twistor or bin/twistor under %s and none on the PATH\nhint: %s\n' "$home" \
    "launch/build.sh release twistor builds it; TWISTOR_HOME names the project's folder" >&2
  exit 66
}
command=("$program")
[[ -z ${TWISTOR_CONTAINER:-} ]] || command=(apptainer exec "$TWISTOR_CONTAINER" twistor)
# srun does not take over sbatch's --cpus-per-task by itself.
export SRUN_CPUS_PER_TASK=${SLURM_CPUS_PER_TASK:-1}

# start_step ARGUMENTS...: becomes the launcher of twistor ARGUMENTS on all tasks of the job.
start_step() {
  local log=()
  case ${TWISTOR_LAUNCHER:-srun} in
    srun)
      if [[ -n ${TWISTOR_RANK_LOGS:-} ]]; then
        mkdir -p "$TWISTOR_RANK_LOGS" || exit 73
        log=("--output=$TWISTOR_RANK_LOGS/job-%j-rank-%t.log" --open-mode=append)
      fi
      # A rank that dies ends the step; the others would wait for it in the next collective.
      exec srun "--mpi=${TWISTOR_SRUN_MPI:-pmix}" --kill-on-bad-exit=1 "${log[@]}" "$home/launch/rank_env.sh" "${command[@]}" "$@"
      ;;
    mpirun)
      [[ -z ${TWISTOR_RANK_LOGS:-} ]] || log=(--output-filename "$TWISTOR_RANK_LOGS/job-$SLURM_JOB_ID")
      exec "$home/launch/mpirun.sh" -n "${SLURM_NTASKS:-1}" "${log[@]}" -- "${command[@]}" "$@"
      ;;
    *)
      printf 'error: TWISTOR_LAUNCHER: expected srun or mpirun, got %s\nhint: leave it unset for srun\n' "$TWISTOR_LAUNCHER" >&2
      exit 64
      ;;
  esac
}

# hand_on SIGNAL STEP: until the step has ended, for a launcher that is still starting its ranks drops it.
hand_on() {
  while kill "-$1" "$2" 2>/dev/null; do sleep 1; done
}

# run_step ARGUMENTS...: one step from start to end; hands signals on; returns its exit code.
run_step() {
  local step code=0 handing_on=''
  # Set before the step is there to be cancelled: what comes earlier is in twistor_signal already.
  trap 'twistor_signal=USR1' USR1
  trap 'twistor_signal=TERM' TERM  # scancel: what is done is kept, and no way back
  start_step "$@" &
  step=$!
  while :; do
    if [[ -n ${twistor_signal:-} && -z $handing_on ]]; then
      hand_on "$twistor_signal" "$step" &
      handing_on=$!
    fi
    # A trapped signal makes wait return early, with a code above 128; the step has then not ended.
    code=0
    wait "$step" || code=$?
    if ((code <= 128)) || ! kill -0 "$step" 2>/dev/null; then break; fi
  done
  [[ -z $handing_on ]] || kill "$handing_on" 2>/dev/null
  return "$code"
}

# run_and_requeue ARGUMENTS...: twistor ARGUMENTS on all tasks of the job; returns twistor's exit code.
#
# Slurm sends USR1 to the batch shell (and to it alone) before it takes the nodes away or the time is up. The signal is handed
# on to the ranks, which save their finished work and exit with 75 if work is left. Then, and only then, the job goes back into
# the queue and resumes when it starts again; a job that has finished or failed by then is not run again. It would not come
# back by itself: a job that ends within its grace time counts as completed.
run_and_requeue() {
  local code=0 restarts=${SLURM_RESTART_COUNT:-0} retries=0
  printf '%(%F %T)T  job %s: %s tasks on %s, restart %d: twistor %s\n' -1 "$SLURM_JOB_ID" "${SLURM_NTASKS:-1}" \
    "${SLURM_JOB_NODELIST:-this host}" "$restarts" "$*"
  while :; do
    code=0
    run_step "$@" || code=$?
    # From 128 on a rank or the launcher died by a signal; lower codes are reasons that would come again.
    if [[ -n ${twistor_signal:-} ]] || ((code < 128 || retries >= ${TWISTOR_RETRIES:-0})); then break; fi
    retries=$((retries + 1))
    printf '%(%F %T)T  the step crashed (exit code %d); retry %d of %d from its last checkpoint\n' -1 "$code" "$retries" \
      "$TWISTOR_RETRIES"
  done
  trap - USR1 TERM
  # Codes that are not twistor's own (64 to 78): USR1 ended ranks or launcher before they could take it; all work is left.
  if [[ ${twistor_signal:-} == USR1 ]] && ((code == 75 || (code > 0 && (code < 64 || code > 78)))); then
    if ((restarts >= ${TWISTOR_MAX_RESTARTS:-100})); then
      printf 'error: stopped after %d restarts, with work left\nhint: %s\n' "$restarts" \
        "the same sbatch command resumes; ask for more time, or set TWISTOR_MAX_RESTARTS" >&2
      return 75
    fi
    printf '%(%F %T)T  stopped with work left after %d restarts; the job goes back into the queue\n' -1 "$restarts"
    scontrol requeue "$SLURM_JOB_ID"
  fi
  return "$code"
}
