#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Makes the Debian package and the tarball of a build, unpacks both, and runs the program of each with the LibTorch that came along.
#
# usage: package.sh CPACK BUILD_FOLDER ROOT
set -euo pipefail
cpack=$1 build=$2 root=$3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "FAILED: $*"; exit 1; }
for tool in dpkg-deb dpkg-shlibdeps file; do
  command -v "$tool" >/dev/null || { echo "skipped: $tool is missing"; exit 77; }
done

"$cpack" --config "$build/CPackConfig.cmake" -B "$work" >"$work/log" 2>&1 || { cat "$work/log"; fail cpack; }
deb=$(echo "$work"/*.deb) tarball=$(echo "$work"/*.tar.gz)
depends=$(dpkg-deb -f "$deb" Depends)
for package in libopenmpi3 openmpi-bin libisal2 libc6; do
  [[ $depends == *$package* ]] || fail "expected the package to depend on $package, got $depends"
done
mkdir "$work/deb" "$work/tar"
torch=$(dirname "$(ldd "$build/twistor" | awk '$1 == "libtorch_cpu.so" {print $3}')")
dpkg-deb -x "$deb" "$work/deb"
tar -xzf "$tarball" -C "$work/tar" --strip-components=1
for prefix in "$work/deb/usr" "$work/tar"; do
  program=$prefix/bin/twistor
  ldd "$program" >"$work/libraries"
  grep -F "libtorch_cpu.so => $prefix/bin/../lib" "$work/libraries" || fail "expected LibTorch beside $program, got $(grep torch "$work/libraries")"
  ! grep -F "$torch/" "$work/libraries" || fail "expected nothing of the LibTorch that twistor was built with"
  "$program" --version
  "$program" tokenize "$root/models/tiny" --text "once upon a time" | grep -q '^\[' || fail "expected token ids of $program"
  "$program" train "$prefix/share/twistor/configs/quickstart.cfg" --target.length=2 --train.updates=2 --run.output="$work/run" --run.progress=false >/dev/null
  [[ -s $work/run/report.html ]] || fail "expected the quickstart of $prefix/share/twistor to run"
  rm -r "$work/run"
  [[ -s $prefix/share/man/man1/twistor.1 && -s $prefix/share/bash-completion/completions/twistor ]] || fail "expected a manual page and completion in $prefix"
done
ls -l "$deb" "$tarball"
