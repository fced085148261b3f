#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Installs a build under a prefix, builds a program of somebody else against it with find_package(twistor), and runs both.
#
# usage: install.sh CMAKE BUILD_FOLDER ROOT
set -euo pipefail
cmake=$1 build=$2 root=$3
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
quietly "$cmake" -S "$root/tests/system/consumer" -B "$work/consumer" -G Ninja -DCMAKE_BUILD_TYPE=Debug "-DCMAKE_PREFIX_PATH=$work/prefix"
quietly "$cmake" --build "$work/consumer"
"$work/consumer/consumer"

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
