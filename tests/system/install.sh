#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Installs a build under a prefix, builds examples/library and examples/plugin against it, and runs all three.
#
# usage: install.sh CMAKE BUILD_FOLDER ROOT MPIEXEC
set -euo pipefail
cmake=$1 build=$2 root=$3 mpiexec=$4
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
quietly() { "$@" >"$work/log" 2>&1 || { cat "$work/log"; echo "FAILED: $*"; exit 1; }; }

quietly "$cmake" --install "$build" --prefix "$work/prefix"
"$work/prefix/bin/twistor" --version
# What the program prints of itself lies where bash and man look.
completion=$work/prefix/share/bash-completion/completions/twistor
bash -n "$completion"
offered=$(bash -c ". '$completion'; COMP_WORDS=(twistor train --run.device = e); COMP_CWORD=4; _twistor; echo \"\${COMPREPLY[*]}\"")
[[ $offered == emulated ]] || { echo "FAILED: expected the completion emulated, got '$offered'"; exit 1; }
grep -q '^.SH CONFIGURATION' "$work/prefix/share/man/man1/twistor.1" || { echo "FAILED: expected a manual page"; exit 1; }
# Neither the sources nor the build folder may be needed: what was installed must not name them.
if grep -rlF -e "$root/include" -e "$root/src" -e "$build" "$work/prefix/lib/cmake" "$work/prefix/lib"*/cmake 2>/dev/null; then
  echo "FAILED: the package names folders of the build"
  exit 1
fi
# examples/library: bounds on both sides of the exact log Z, to five standard errors, and the same lines on two ranks.
quietly "$cmake" -S "$root/examples/library" -B "$work/example" -G Ninja -DCMAKE_BUILD_TYPE=Debug "-DCMAKE_PREFIX_PATH=$work/prefix"
quietly "$cmake" --build "$work/example"
example() { "$@" "$work/example/own_sampler" "$root/models/tiny" "once upon a time there was a kind fox . one day the fox met a hen ." sly kind; }
example env >"$work/one"
example "$mpiexec" -n 2 >"$work/two"
cat "$work/one"
cmp "$work/one" "$work/two" || { echo "FAILED: expected the same lines on two ranks"; cat "$work/two"; exit 1; }
awk 'NR == 1 { log_z = $4 + 0 } NR > 1 { ++n; if ($6 > log_z + 5 * $8 || $10 < log_z - 5 * $12 || $6 >= $10 || $16 + 0 <= 0 || $20 <= 0) exit 2 }
  END { if (n != 2 || log_z == 0) exit 2 }' "$work/one" || { echo "FAILED: expected bounds around log Z and divergences above 0"; exit 1; }
# examples/plugin, with the header that was installed.
quietly cc -shared -fPIC -I "$work/prefix/include" -o "$work/whole_word.so" "$root/examples/plugin/whole_word.c"
"$work/prefix/bin/twistor" score-text "$root/examples/plugin/whole_word.cfg" "--target.plugin=$work/whole_word.so" --text "the fox ate" >"$work/scored"
grep -q '^ *0\.000000  .the fox ate.$' "$work/scored" || { cat "$work/scored"; echo "FAILED: expected log phi = 0 from the plugin"; exit 1; }

# With LibTorch's libraries beside it the folder may be moved: nothing that the program loads lies in the old one, or in LibTorch's.
quietly "$cmake" --install "$build" --prefix "$work/prefix" --component torch
torch=$(dirname "$(ldd "$build/twistor" | awk '$1 == "libtorch_cpu.so" {print $3}')")
mv "$work/prefix" "$work/moved"
moved=$work/moved/bin/twistor
ldd "$moved" >"$work/libraries"
if ! grep -qF "libtorch_cpu.so => $work/moved/bin/../lib" "$work/libraries" ||
  grep -qF -e "$work/prefix" -e "$torch/" -e 'not found' "$work/libraries"; then
  echo "FAILED: expected all libraries in the moved folder or the system's, got"
  cat "$work/libraries"
  exit 1
fi
[[ $("$moved" tokenize "$root/models/tiny" --text "once upon a time") == \[* ]] || { echo "FAILED: the moved program does not run"; exit 1; }
