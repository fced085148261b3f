#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Installs the Debian package of a build in a bare Debian 12 that it makes for that, and runs the quickstart there on two ranks.
#
# usage: bare_debian.sh CPACK BUILD_FOLDER
#
# As root, with debootstrap and a mirror (DEBIAN_MIRROR, http://deb.debian.org/debian unless set). launch/nightly.sh runs it; CI does not.
set -euo pipefail
cpack=$1 build=$2
work=$(mktemp -d)
bare=$work/debian
clean() {
  ! mountpoint -q "$bare/proc" || umount "$bare/proc"
  ! mountpoint -q "$bare/sys" || umount "$bare/sys"
  rm -rf --one-file-system "$work"
}
trap clean EXIT
fail() { echo "FAILED: $*"; exit 1; }
inside() { chroot "$bare" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root DEBIAN_FRONTEND=noninteractive "$@"; }

"$cpack" --config "$build/CPackConfig.cmake" -G DEB -B "$work" >"$work/log" 2>&1 || { cat "$work/log"; fail cpack; }
debootstrap --variant=minbase bookworm "$bare" "${DEBIAN_MIRROR:-http://deb.debian.org/debian}" >"$work/log" 2>&1 || { tail "$work/log"; fail debootstrap; }
mount -t proc proc "$bare/proc"
mount -t sysfs -o ro sysfs "$bare/sys"
cp "$work"/*.deb "$bare/tmp/twistor.deb"
# How this machine reaches its mirror.
cp -n /etc/apt/apt.conf.d/* "$bare/etc/apt/apt.conf.d/"
inside apt-get update -qq
inside apt-get install -y -qq --no-install-recommends /tmp/twistor.deb >"$work/log" 2>&1 || { tail "$work/log"; fail "apt-get install"; }
inside sh -c 'cd /root && twistor --version && OMP_WAIT_POLICY=passive mpirun --allow-run-as-root --oversubscribe -n 2 \
  twistor train /usr/share/twistor/configs/quickstart.cfg --run.progress=false'
inside test -s /root/runs/quickstart/report.html || fail "expected a report of the quickstart"
inside twistor info /root/runs/quickstart | grep '^verdict: log Z is -6\.4154' || fail "expected the quickstart's verdict, got $(inside twistor info /root/runs/quickstart)"
