#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Checks that a job ends on all ranks within 5 s, with one message and the right exit code, however one rank fails.
# Usage: failing_job_test.sh MPIEXEC PROGRAM
set -u
mpiexec=$1 program=$2
failures=0

# check MODE RANKS EXIT_CODE PATTERN TIMES: PATTERN must be printed TIMES times.
check() {
  local mode=$1 ranks=$2 expected=$3 pattern=$4 times=$5 text code start seconds found
  start=$(date +%s%N)
  text=$(timeout -k 1 60 "$mpiexec" -n "$ranks" "$program" "$mode" 2>&1)
  code=$?
  seconds=$((($(date +%s%N) - start) / 1000000000))
  found=$(grep -c -- "$pattern" <<<"$text")
  # Starting mpirun takes 1-2 s on a busy machine; they come on top of the 5 s.
  if ((code != expected || found != times || seconds > 7)); then
    failures=$((failures + 1))
    printf 'FAILED: %s on %d ranks: exit code %d (expected %d), %d messages (expected %d), %d s\n%s\n' \
      "$mode" "$ranks" "$code" "$expected" "$found" "$times" "$seconds" "$text"
  else
    printf 'ok: %s on %d ranks: exit code %d after %d s\n' "$mode" "$ranks" "$code" "$seconds"
  fi
}

check none 3 0 '^fine$' 3
check all 1 78 '^twistor: reading run.cfg: key smc.particles is 0$' 1
check all 3 78 '^\[rank ./3\] reading run.cfg: key smc.particles is 0$' 1
check all 3 78 '^hint: give at least 1$' 1
check one 3 65 '^\[rank 2/3\] reading weights: the file is cut short$' 1
check foreign 3 70 '^\[rank 2/3\] doing what was asked: something foreign$' 1
check foreign 3 70 'Exception raised from' 0
check deaf 3 74 '^\[rank 2/3\] writing a checkpoint: the disk is full$' 1
check killed 3 137 'signal 9' 1
exit $((failures > 0))
