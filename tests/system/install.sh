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
