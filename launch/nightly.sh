#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs what is too slow for every change, one thing after another whatever fails, and says what passed.
#
# usage: launch/nightly.sh [STEP...]
#
#   sanitize   unit tests of all rooms under AddressSanitizer and UndefinedBehaviorSanitizer
#   thread     tests of comm and learn under ThreadSanitizer
#   fuzz       every fuzz target, 60 s each
#   slurm      the batch scripts on a Slurm of two nodes on this machine; as root, or it fails
#   torture    200 kills of checkpoint writers, 200 of ranks that learn and 200 of all kinds of work, and the faults of disks,
#              locks, clocks, programs and ranks
#   package    the Debian package in a bare Debian 12 of its own; as root, with debootstrap, or it fails
#   paper      the paper's tables at small scale, as docs/paper.md has them; tables are in build/nightly/paper
#
# All of them if none is named; several hours. Texts are in build/nightly/STEP.log. The exit code is 70 if a step failed.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

logs=$repo/build/nightly
run_step() {
  case $1 in
    sanitize) "$repo/launch/sanitize.sh" ;;
    thread) "$repo/launch/sanitize.sh" --thread ;;
    fuzz) "$repo/launch/fuzz.sh" 60 ;;
    slurm)
      # Its test skips itself where there is no Slurm; here that would be a failure.
      "$repo/launch/setup.sh" --slurm && "$repo/launch/test.sh" -R '^slurm_jobs$' | tee "$logs/slurm.out" &&
        ! grep -q 'Skipped' "$logs/slurm.out"
      ;;
    torture) "$repo/launch/torture.sh" 200 ;;
    package)
      apt-get install -y debootstrap && "$repo/launch/build.sh" release twistor &&
        "$repo/tests/system/bare_debian.sh" cpack "$repo/build/release"
      ;;
    paper)
      rm -rf "$logs/paper"
      for table in threshold toxicity sentiment infill-15-10 infill-2-1; do
        "$repo/launch/paper.sh" "$table" --output "$logs/paper/$table" || return
      done
      "$repo/launch/paper.sh" toxicity --model smollm2 --output "$logs/paper/toxicity_smollm2"
      ;;
  esac
}

case ${1:-} in -h | --help) print_help; exit 0 ;; esac
steps=("$@")
((${#steps[@]})) || steps=(sanitize thread fuzz slurm torture package paper)
for step in "${steps[@]}"; do
  case $step in
    sanitize | thread | fuzz | slurm | torture | package | paper) ;;
    *) wrong_argument "there is no step '$step'" ;;
  esac
done

mkdir -p "$logs"
failed=() report=()
for step in "${steps[@]}"; do
  say "$step: see $logs/$step.log"
  begin=$SECONDS outcome=passed
  run_step "$step" >"$logs/$step.log" 2>&1 </dev/null || outcome="failed ($?)"
  [[ $outcome == passed ]] || failed+=("$step")
  report+=("$(printf '%-9s %-12s %s' "$step" "$outcome" "$(duration $((SECONDS - begin)))")")
  say "${report[-1]}"
done
printf '\n'
printf '%s\n' "${report[@]}"
((${#failed[@]} == 0)) || fail 70 "failed: ${failed[*]}" "the last lines of build/nightly/STEP.log say why"
