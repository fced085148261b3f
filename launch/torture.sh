#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Kills writers of checkpoints and ranks of every kind of work at random moments, and plays faults of disks, clocks and ranks.
#
# What is left must be whole, and the next run must end in the bits of an undisturbed one.
#
# usage: launch/torture.sh [KILLS]
#
#   KILLS   how often, of writers, of ranks that learn, and of ranks of all kinds of work (default 200)
#
# The test suite does the same a few times; this is for changes to src/store, src/run and what saves unfinished work.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

case ${1:-200} in
  -h | --help) print_help; exit 0 ;;
  *[!0-9]* | 0) wrong_argument "expected a number of kills, got '$1'" ;;
esac

ensure_setup ci
"$repo/launch/build.sh" ci unit_store twistor
kills=${1:-200}
system_test() { python3 "$repo/tests/system/$1.py" "$repo/build/release/twistor" "$repo" "$(command -v mpirun)"; }
say "killing writers $kills times"
TWISTOR_KILLS=$kills "$repo/build/release/unit_store" --gtest_filter='Kill.*'
say "killing ranks that learn $kills times"
TWISTOR_KILLS=$kills system_test train_kills
say "killing ranks of all kinds of work $kills times"
TWISTOR_KILLS=$kills system_test torture
say "faults of disks, locks, clocks, programs and ranks"
TWISTOR_LONG=1 system_test faults
