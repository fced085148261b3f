#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# From nothing to a trained twist and a proven log Z, on two ranks, with the language model that comes along.
#
# usage: launch/quickstart.sh [RANKS]
#
#   RANKS   how many ranks share the population (default 2); the numbers are the same for any
#
# Installs what is missing (launch/setup.sh), builds build/release/twistor, then runs
# "twistor train configs/quickstart.cfg": exact samples, evaluation before learning, CTL, evaluation after it.
# Everything it writes is in runs/quickstart, which starts afresh each time. At most 10 minutes from nothing.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

case ${1:-} in
  -h | --help) print_help; exit 0 ;;
  '') ranks=2 ;;
  *) ranks=$1 ;;
esac
[[ $ranks =~ ^[1-9][0-9]*$ && $# -le 1 ]] || wrong_argument "expected at most one argument, a number of ranks, got '$*'"

"$repo/launch/setup.sh"
"$repo/launch/build.sh" release twistor

cd "$repo"
output=runs/quickstart
rm -rf "$output"
say "running the main job on $ranks ranks"
begin=$SECONDS
"$repo/launch/mpirun.sh" -n "$ranks" -- "$repo/build/release/twistor" train configs/quickstart.cfg "--run.output=$output"
say "the job took $(duration $((SECONDS - begin))), all of it $(duration "$SECONDS"); its files:"
(cd "$output" && find . -maxdepth 1 -type f | sort | sed "s|^\.|  $output|")
