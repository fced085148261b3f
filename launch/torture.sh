#!/usr/bin/env bash
# Kills a writer of checkpoints at many random moments and checks after each that a whole state is left.
#
# usage: launch/torture.sh [KILLS]
#
#   KILLS   how often (default 200)
#
# The test suite does the same 20 times; this is for changes to src/store.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

case ${1:-200} in
  -h | --help) print_help; exit 0 ;;
  *[!0-9]* | 0) wrong_argument "expected a number of kills, got '$1'" ;;
esac

"$repo/launch/setup.sh"
"$repo/launch/build.sh" ci unit_store
say "killing writers ${1:-200} times"
TWISTOR_KILLS=${1:-200} exec "$repo/build/release/unit_store" --gtest_filter='Kill.*'
