# SPDX-License-Identifier: Apache-2.0
# What the batch scripts share: where the project is, the environment of the ranks, and how to survive preemption.
# shellcheck shell=bash

# sbatch runs a copy of the script from its spool folder, so the project is where the job was submitted.
cd "${TWISTOR_HOME:-${SLURM_SUBMIT_DIR:?submit this with sbatch, from the root of the project}}" || exit 66
if [[ ! -x build/release/twistor ]]; then
  printf 'error: there is no build/release/twistor under %s\nhint: launch/build.sh release twistor builds it; submit from the root of the project\n' "$PWD" >&2
  exit 66
fi
# srun does not take over sbatch's --cpus-per-task by itself.
export SRUN_CPUS_PER_TASK=${SLURM_CPUS_PER_TASK:-1}

# run_and_requeue ARGUMENTS...: twistor ARGUMENTS on all tasks of the job; returns twistor's exit code.
#
# Slurm sends USR1 to this shell (and to it alone) before it takes the nodes away. The signal is handed on to the ranks, which
# save their finished work and exit with 75 if work is left. Then, and only then, the job goes back into the queue and resumes
# when it starts again; a job that has finished or failed by then is not run again. It would not come back by itself: a job
# that ends within its grace time counts as completed.
run_and_requeue() {
  local is_preempted=0 signal='' step='' code=0
  # Set before the step starts: a signal that comes meanwhile is handed on as soon as there is somebody to take it.
  trap 'is_preempted=1; signal=USR1; [[ -z $step ]] || kill -USR1 "$step" 2>/dev/null' USR1
  trap 'signal=TERM; [[ -z $step ]] || kill -TERM "$step" 2>/dev/null' TERM  # scancel: what is done is kept, and no way back
  # A rank that dies ends the step; the others would wait for it in the next collective.
  srun --mpi=pmix --kill-on-bad-exit=1 launch/rank_env.sh build/release/twistor "$@" &
  step=$!
  [[ -z $signal ]] || kill "-$signal" "$step" 2>/dev/null
  # A trapped signal makes wait return early, with a code above 128; the step has then not ended.
  wait "$step" || code=$?
  while ((code > 128)) && kill -0 "$step" 2>/dev/null; do
    code=0
    wait "$step" || code=$?
  done
  trap - USR1 TERM
  # 138: USR1 came before the step could take it, so nothing is done and all work is left.
  if ((is_preempted && (code == 75 || code == 138))); then
    echo "preempted after ${SLURM_RESTART_COUNT:-0} restarts; the job goes back into the queue"
    scontrol requeue "$SLURM_JOB_ID"
  fi
  return "$code"
}
