#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The environment that one rank of twistor needs: threads, and waiting without spinning.
#
# usage: launch/rank_env.sh PROGRAM [ARGUMENTS...]     runs the program in that environment
#        . launch/rank_env.sh                          sets it in the current shell
#
# What is already set in the environment is kept. Otherwise:
#   OMP_NUM_THREADS               max(1, cores / ranks on this machine); cores by affinity, and by a container's CPU quota
#   OMP_WAIT_POLICY               passive where there are more threads than cores: threads that spin would keep others waiting
#   OMPI_MCA_mpi_yield_when_idle  1 where the ranks leave no core free
# Ranks on this machine: TWISTOR_LOCAL_RANKS, or what mpirun or srun says, or 1.

twistor_local_ranks() {
  local from_slurm=${SLURM_STEP_TASKS_PER_NODE:-}  # such as "4(x3),2"
  echo "${TWISTOR_LOCAL_RANKS:-${OMPI_COMM_WORLD_LOCAL_SIZE:-${from_slurm:+${from_slurm%%[!0-9]*}}}}"
}

# The least CPU quota of this control group and those above it, rounded up to cores; nothing where there is none.
twistor_quota_cores() {
  local group file quota period cores least=''
  group=$(sed -n 's/^0:://p' /proc/self/cgroup 2>/dev/null) || return 0
  while :; do
    file=/sys/fs/cgroup${group%/}/cpu.max
    if [[ -r $file ]] && read -r quota period <"$file" && [[ $quota =~ ^[1-9][0-9]*$ && $period =~ ^[1-9][0-9]*$ ]]; then
      cores=$(((quota + period - 1) / period))
      [[ -n $least ]] && ((least <= cores)) || least=$cores
    fi
    [[ -n ${group%/} ]] || break
    group=${group%/*}
  done
  echo "$least"
}

twistor_rank_env() {
  local ranks cores threads quota
  ranks=$(twistor_local_ranks)
  ranks=${ranks:-1}
  # nproc obeys OMP_NUM_THREADS; a Slurm task that is bound to its share of the cores sees that share alone.
  cores=${SLURM_CPUS_ON_NODE:-$(env -u OMP_NUM_THREADS -u OMP_THREAD_LIMIT nproc)}
  quota=$(twistor_quota_cores)
  [[ -z $quota ]] || ((quota >= cores)) || cores=$quota
  threads=${SLURM_CPUS_PER_TASK:-$((cores / ranks))}
  export OMP_NUM_THREADS=${OMP_NUM_THREADS:-$((threads < 1 ? 1 : threads))}
  if [[ $OMP_NUM_THREADS =~ ^[0-9]+$ ]] && ((OMP_NUM_THREADS > 1 && OMP_NUM_THREADS * ranks > cores)); then
    export OMP_WAIT_POLICY=${OMP_WAIT_POLICY:-passive}
  fi
  if ((ranks > 1 && ranks >= cores)); then
    export OMPI_MCA_mpi_yield_when_idle=${OMPI_MCA_mpi_yield_when_idle:-1}
  fi
}

if [[ ${BASH_SOURCE[0]} != "$0" ]]; then
  twistor_rank_env
  return 0
fi
case ${1:-} in
  -h | --help) sed -n '2,/^$/{/^# SPDX/d;/^#/!d;s/^# \{0,1\}//;p}' "$0"; exit 0 ;;
  '' | -*)
    printf '[rank_env.sh] error: expected a program to run, got %s\nhint: launch/rank_env.sh --help shows how it is used\n' \
      "${1:-nothing}" >&2
    exit 64 ;;
esac
twistor_rank_env
# A job may be preempted while its ranks start. The program replaces this as soon as it can stop in order; the batch script sends
# the signal until it has been heard.
[[ -z ${SLURM_JOB_ID:-} ]] || trap '' USR1
exec "$@"
