#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Every C++ file is as clang-format leaves it, shellcheck has nothing to say about the scripts, and every source names the
# licence in one of its first two lines. Exits with 77 (skipped) where git or one of the two tools is missing.
#
# usage: formatting.sh ROOT
set -uo pipefail
cd "$1" || exit 66

for tool in git clang-format-14 shellcheck; do
  command -v "$tool" >/dev/null || { echo "skipped: $tool is missing; launch/setup.sh installs it"; exit 77; }
done
# What would be committed: tracked files and new ones that git does not ignore.
files() { git -c safe.directory='*' ls-files --cached --others --exclude-standard "$@" | sort -u | while read -r file; do [[ ! -f $file ]] || echo "$file"; done; }
[[ -n $(files) ]] || { echo "skipped: this is no clone"; exit 77; }

code=0
mapfile -t sources < <(files '*.cpp' '*.hpp' '*.cu' '*.cuh' '*.c' '*.h')
clang-format-14 --dry-run -Werror "${sources[@]}" || {
  code=1
  echo 'hint: clang-format-14 -i FILE' >&2
}
mapfile -t scripts < <(files '*.sh' '*.sbatch' .ci/run)
shellcheck --external-sources --source-path=SCRIPTDIR "${scripts[@]}" || code=1
mapfile -t licensed < <(printf '%s\n' "${sources[@]}" "${scripts[@]}"; files '*.inc' '*.py' '*.cmake' '*.cmake.in' '*CMakeLists.txt')
for file in "${licensed[@]}"; do
  head -n 2 "$file" | grep -q 'SPDX-License-Identifier: Apache-2\.0$' || {
    code=1
    echo "$file: no line 'SPDX-License-Identifier: Apache-2.0' among the first two" >&2
  }
done
echo "${#sources[@]} sources and ${#scripts[@]} scripts looked at"
exit "$code"
