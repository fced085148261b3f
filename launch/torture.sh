#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Kills checkpoint writers, and ranks of whole trainings, at many random moments and looks whether they go on from there.
#
# usage: launch/torture.sh [KILLS]
#
#   KILLS   how often, of either kind (default 200, about ten minutes)
#
# The test suite does the same 20 times; this is for changes to src/store and src/run.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

case ${1:-200} in
  -h | --help) print_help; exit 0 ;;
  *[!0-9]* | 0) wrong_argument "expected a number of kills, got '$1'" ;;
esac

ensure_setup ci
"$repo/launch/build.sh" ci unit_store twistor
kills=${1:-200}
say "killing writers $kills times"
TWISTOR_KILLS=$kills "$repo/build/release/unit_store" --gtest_filter='Kill.*'
say "killing ranks $kills times"
TWISTOR_KILLS=$kills exec python3 "$repo/tests/system/train_kills.py" "$repo/build/release/twistor" "$repo" "$(command -v mpirun)"
