#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds the libFuzzer targets of tests/fuzz with clang and the sanitizers, and runs each for a while.
#
# usage: launch/fuzz.sh [SECONDS | --runs N] [WHAT...]
#
#   SECONDS   for each target (default 60)
#   --runs N  so many inputs for each target instead, however long it takes: --runs 1000000 before a release
#   WHAT      which targets: gguf, safetensors, tokenizer, ... (default: every tests/fuzz/fuzz_WHAT.cpp)
#
# Inputs found on the way are kept in build/fuzz/corpus, inputs that break something in build/fuzz/findings; the seeds
# are in tests/fuzz/corpus. A finding, made small, belongs there too: the test suite replays that folder.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

case ${1:-60} in
  -h | --help) print_help; exit 0 ;;
  --runs)
    [[ ${2:-} =~ ^[1-9][0-9]*$ ]] || wrong_argument "expected a number of inputs after --runs, got '${2:-}'"
    limit=-runs=$2
    until_when="$2 inputs"
    shift 2
    ;;
  *[!0-9]* | 0) wrong_argument "expected a number of seconds, got '$1'" ;;
  *)
    limit=-max_total_time=${1:-60}
    until_when="${1:-60} s"
    shift $(($# > 0 ? 1 : 0))
    ;;
esac

cd "$repo"
targets=("$@")
if ((${#targets[@]} == 0)); then
  for source in tests/fuzz/fuzz_*.cpp; do
    name=${source##*/fuzz_}
    targets+=("${name%.cpp}")
  done
fi
for what in "${targets[@]}"; do
  [[ -f tests/fuzz/fuzz_$what.cpp ]] || wrong_argument "there is no tests/fuzz/fuzz_$what.cpp"
done
build=$repo/build/fuzz
clang_build "${targets[@]/#/fuzz_}"

export UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
export LSAN_OPTIONS=suppressions=$repo/tests/support/lsan.supp:print_suppressions=0
bad=()
for what in "${targets[@]}"; do
  corpus=$build/corpus/$what
  findings=$build/findings/$what
  mkdir -p "$corpus" "$findings"
  say "$what: $until_when"
  # HDF5 believes what a damaged file says of its size, asks for as much, and reports that there is none.
  may_fail=0 most_mb=4096
  [[ $what != arrays ]] || may_fail=1 most_mb=1000000000
  # Leaks of libraries are known by whole stacks, which cost most of the time where texts are made: only where HDF5 is.
  fast=1
  [[ $what != @(arrays|checkpoint) ]] || fast=0
  export ASAN_OPTIONS=fast_unwind_on_malloc=$fast:detect_odr_violation=0:allocator_may_return_null=$may_fail
  "$build/fuzz_$what" "$limit" -timeout=10 -rss_limit_mb=4096 -malloc_limit_mb=$most_mb -max_len=65536 -print_final_stats=1 \
    -artifact_prefix="$findings/" "$corpus" "tests/fuzz/corpus/$what" >"$build/fuzz_$what.log" 2>&1 || bad+=("$what")
  grep -E 'number_of_executed_units|ERROR|SUMMARY' "$build/fuzz_$what.log" | sed "s/^/  /" || true
done
((${#bad[@]} == 0)) || fail 70 "findings in: ${bad[*]}" "see build/fuzz/findings and build/fuzz/fuzz_*.log"
say "no findings"
