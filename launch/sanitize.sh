#!/usr/bin/env bash
# Builds the unit tests with AddressSanitizer and UndefinedBehaviorSanitizer in build/asan, and runs them.
#
# usage: launch/sanitize.sh [ROOM...]     default: every room that has unit tests
#
#   launch/sanitize.sh text store         only unit_text and unit_store
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

case ${1:-} in
  -h | --help) print_help; exit 0 ;;
  -*) wrong_argument "unknown argument '$1'" ;;
esac

rooms=("$@")
if ((${#rooms[@]} == 0)); then
  for file in "$repo"/tests/unit/*/*.cpp; do rooms+=("$(basename "$(dirname "$file")")"); done
  mapfile -t rooms < <(printf '%s\n' "${rooms[@]}" | sort -u)
fi
"$repo/launch/setup.sh"
"$repo/launch/build.sh" asan "${rooms[@]/#/unit_}"
pattern=$(IFS='|'; echo "${rooms[*]/#/unit_}")
exec ctest --test-dir "$repo/build/asan" --output-on-failure --no-tests=error -R "^($pattern)\$"
