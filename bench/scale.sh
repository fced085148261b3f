#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Holds the forecasts of `twistor scale` against the same work done by 1, 2, 4 and 8 ranks of this machine.
#
# usage: bench/scale.sh [CONFIG [--section.key=value ...]]      default: configs/quickstart.cfg with K = 4096, much moving
#
# Where ranks outnumber cores, calibration and work share them alike. The latency of this machine stands in LATENCY_US (a message
# between ranks that wait for a core takes long). A forecast is good within a quarter (G17).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
(($#)) || set -- configs/quickstart.cfg --smc.particles=4096 --smc.trigger=every_step --smc.resampling=multinomial --target.length=16
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
printf '%5s  %-12s %12s %12s %7s\n' ranks what forecast measured ratio
for ranks in 1 2 4 8; do
  launch/mpirun.sh -n "$ranks" -- twistor scale "$@" --ranks="$ranks" --check --latency_us="${LATENCY_US:-5}" --run.output="$folder/run" \
    >"$folder/text" 2>"$folder/log" || { cat "$folder/log"; exit 70; }
  for what in sweep update; do
    forecast=$(awk -v what="one $what" 'index($0, what) == 1 {print $3 " " $4}' "$folder/text")
    read -r measured ratio < <(sed -n "s/^check: one $what *\([0-9.e+-]* [a-z]*\) .*measured = \([0-9.]*\)/\1|\2/p" "$folder/text" | tr ' |' '_ ')
    printf '%5s  %-12s %12s %12s %7s\n' "$ranks" "one $what" "$forecast" "${measured//_/ }" "$ratio"
  done
done
uptime
