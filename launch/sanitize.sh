#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds tests with AddressSanitizer and UndefinedBehaviorSanitizer, or with ThreadSanitizer, and runs them.
#
# usage: launch/sanitize.sh [--thread | --clang] [ROOM...]
#
#   ROOM       unit tests of these rooms (default: every room that has some)
#   --thread   ThreadSanitizer: unit tests and tests with several ranks (default: comm and learn, where threads meet MPI)
#   --clang    by clang, warnings being errors (default: base, config, format, text and store, which parse no Torch header);
#              without three tests that go through all of Unicode
#
#   launch/sanitize.sh text store         only unit_text and unit_store
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

preset=asan
case ${1:-} in
  -h | --help) print_help; exit 0 ;;
  --thread) preset=tsan; shift ;;
  --clang) preset=clang; shift ;;
  -*) wrong_argument "unknown argument '$1'" ;;
esac

cd "$repo"
rooms=("$@")
if ((${#rooms[@]} == 0)); then
  case $preset in
    tsan) rooms=(comm learn) ;;
    clang) rooms=(base config format text store) ;;
    *) for folder in tests/unit/*/; do rooms+=("$(basename "$folder")"); done ;;
  esac
fi
targets=()
for room in "${rooms[@]}"; do
  has_tests=0
  for kind in unit mpi; do
    [[ $kind == unit || $preset == tsan ]] || continue
    compgen -G "tests/$kind/$room/*.cpp" >/dev/null || continue
    has_tests=1
    targets+=("${kind}_$room")
  done
  ((has_tests)) || wrong_argument "there are no tests of a room '$room' to run"
done

pattern=$(IFS='|' && printf '%s' "${targets[*]}")

folder=build/$preset
run=()
case $preset in
  clang)
    folder=build/fuzz
    clang_build "${targets[@]}"
    # Every code point through every kind of tokenizer: minutes under the sanitizers, and GCC's see it at night.
    export GTEST_FILTER='-Normalizers.EqualTheReferences*:UnicodeClasses.EqualTheReferences*:PreTokenizerParity.*'
    ;;
  tsan)
    # Open MPI, libgomp and LibTorch are not instrumented: what they do behind their locks looks like races, and is not looked at.
    export TSAN_OPTIONS="ignore_noninstrumented_modules=1:suppressions=$repo/tests/support/tsan.supp${TSAN_OPTIONS:+:$TSAN_OPTIONS}"
    # ThreadSanitizer needs its shadow memory where newer kernels' randomised addresses may lie.
    run=(setarch "$(uname -m)" --addr-no-randomize)
    ;;&
  *)
    ensure_setup "$preset"
    launch/build.sh "$preset" "${targets[@]}"
    ;;
esac
exec "${run[@]}" ctest --test-dir "$folder" --output-on-failure --no-tests=error --parallel "$(n_cores)" -R "^($pattern)(_np[23])?\$"
