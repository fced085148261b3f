#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs twistor on several ranks, in the environment that Open MPI and OpenMP need.
#
# usage: launch/mpirun.sh -n RANKS [MPIRUN OPTIONS...] -- twistor ARGUMENTS...
#
#   launch/mpirun.sh -n 2 -- twistor train configs/quickstart.cfg
#   launch/mpirun.sh -n 16 --hostfile hosts --npernode 4 -- twistor evaluate configs/quickstart.cfg
#
# What stands before "--" goes to mpirun as it is. The "--" may be left out where only -n RANKS stands before the
# program. "twistor" is the one on the PATH, or else build/release/twistor, or bin/twistor of an installed folder. Every rank gets launch/rank_env.sh's
# environment; what you have set yourself is kept.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

options=() ranks='' several_hosts=0
while (($#)); do
  case $1 in
    -h | --help) print_help; exit 0 ;;
    --) shift; break ;;
    -n | -np | --np | -c)
      (($# > 1)) || wrong_argument "$1 needs a number of ranks"
      ranks=$2
      options+=("$1" "$2")
      shift 2
      [[ ${1:-} == -* ]] || break
      ;;
    --host | -H | -host | --hostfile | -hostfile | --machinefile | -machinefile)
      several_hosts=1
      options+=("$1")
      shift ;;
    *) options+=("$1"); shift ;;
  esac
done
[[ $ranks =~ ^[1-9][0-9]*$ ]] || wrong_argument "expected -n RANKS with RANKS at least 1, got '${ranks}'"
(($#)) || wrong_argument "no program given, for instance -- twistor train CONFIG"

program=$1
shift
if [[ $program == twistor ]] && ! command -v twistor >/dev/null; then
  program=$repo/build/release/twistor
  [[ -x $program ]] || program=$repo/bin/twistor
  [[ -x $program ]] || fail 66 "no twistor on the PATH and none in build/release or bin of $repo" "launch/build.sh release twistor builds it"
fi
command -v mpirun >/dev/null || fail 78 "mpirun is missing" "launch/setup.sh installs Open MPI"

# Settings in the environment beat those on the command line, and a user's own beat both.
is_one_machine=1
((!several_hosts)) && [[ -z ${SLURM_JOB_ID:-} ]] || is_one_machine=0
while IFS='=' read -r name value; do
  case $name in
    OMPI_ALLOW_*) ((EUID == 0)) || continue ;;
    OMPI_MCA_hwloc_*) ;;
    *) ((is_one_machine)) || continue ;;
  esac
  [[ -n ${!name:-} ]] || export "$name=$value"
done < <(grep '^OMPI_' "$repo/launch/openmpi.env")
if ((several_hosts)); then
  # A host or a link that is gone is noticed within some 5 s, not after the minutes that TCP takes.
  export OMPI_MCA_oob_tcp_keepalive_time=${OMPI_MCA_oob_tcp_keepalive_time:-2}
  export OMPI_MCA_oob_tcp_keepalive_intvl=${OMPI_MCA_oob_tcp_keepalive_intvl:-1}
  export OMPI_MCA_oob_tcp_keepalive_probes=${OMPI_MCA_oob_tcp_keepalive_probes:-3}
fi
for name in OMP_NUM_THREADS OMP_WAIT_POLICY TWISTOR_CACHE; do
  [[ -z ${!name:-} ]] || options+=(-x "$name")
done

# Shared memory of ranks that were killed stays until somebody removes it: own segments of an hour ago that no process maps.
while read -r segment; do
  grep -qsF "$segment" /proc/[0-9]*/maps || rm -f "$segment"
done < <(find /dev/shm -maxdepth 1 -name 'vader_segment.*' -user "$EUID" -mmin +60 2>/dev/null)

exec mpirun "${options[@]}" "$repo/launch/rank_env.sh" "$program" "$@"
