#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Configures and builds one preset into build/.
#
# usage: launch/build.sh PRESET [TARGET...]
#
#   PRESET   release, debug, ci (release with warnings as errors), asan or tsan
#   TARGET   what to build, for instance "twistor"; everything if left out
#
# As many compilers run at once as there are cores and 2 GiB pieces of free memory; TWISTOR_JOBS overrides it.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

case ${1:-} in
  -h | --help) print_help; exit 0 ;;
  release | debug | ci | asan | tsan) preset=$1; shift ;;
  '') wrong_argument "no preset given" ;;
  *) wrong_argument "unknown preset '$1'" ;;
esac
for target in "$@"; do
  [[ $target != -* ]] || wrong_argument "unknown argument '$target'"
done
for tool in cmake ninja; do
  command -v "$tool" >/dev/null || fail 78 "$tool is missing" "launch/setup.sh installs it"
done

cd "$repo"
jobs=${TWISTOR_JOBS:-$(n_build_jobs)}
begin=$SECONDS
say "configuring preset $preset"
log=$(mktemp)
cmake --preset "$preset" >"$log" 2>&1 || {
  cat "$log" >&2
  rm -f "$log"
  fail 78 "cmake --preset $preset failed" "launch/setup.sh installs what the build needs; a stale build/ folder may be removed"
}
rm -f "$log"
say "building ${*:-everything} with $jobs jobs"
if (($#)); then
  cmake --build --preset "$preset" --parallel "$jobs" --target "$@"
else
  cmake --build --preset "$preset" --parallel "$jobs"
fi || fail 70 "the build of preset $preset failed" "the compiler's message is above"
say "built in $(duration $((SECONDS - begin)))"
