#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds everything with warnings as errors and runs the test suite; installs what is missing first, and says so.
#
# usage: launch/test.sh [--quick] [CTEST ARGUMENTS...]
#
#   --quick   a developer's loop: unit tests and the fast checks of the tree, under a minute once built
#
#   launch/test.sh -R smc          only the tests whose name contains "smc"
#   launch/test.sh -L mpi          only those with several ranks; labels: unit, mpi, system, gpu, fuzz, quick
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

quick=()
case ${1:-} in
  -h | --help) print_help; exit 0 ;;
  --quick) quick=(-L '^(unit|quick)$'); shift ;;
  -* | '') ;;
  *) wrong_argument "unknown argument '$1'" ;;
esac

ensure_setup ci
"$repo/launch/build.sh" ci
exec ctest --test-dir "$repo/build/release" --output-on-failure --no-tests=error --parallel "$(n_cores)" "${quick[@]}" "$@"
