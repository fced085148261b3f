#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Installs the program under a folder of its own, with LibTorch's libraries, the scripts that start it, and what it is tried with.
#
# usage: launch/install.sh FOLDER
#
#   launch/install.sh /shared/twistor
#   /shared/twistor/launch/mpirun.sh -n 2 -- /shared/twistor/bin/twistor train /shared/twistor/configs/quickstart.cfg
#
# The folder may be moved or copied to other machines of the same distribution: nothing in it names where it lies. There
# launch/setup.sh --runtime installs the packages that the program loads.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

case ${1:-} in
  -h | --help) print_help; exit 0 ;;
  '' | -*) wrong_argument "expected a folder, got '${1:-}'" ;;
esac
(($# == 1)) || wrong_argument "expected one folder, got $#"
mkdir -p "$1" || fail 74 "cannot make the folder $1" "choose one that you may write to"
folder=$(cd "$1" && pwd)

"$repo/launch/build.sh" release twistor
for component in '' torch; do
  cmake --install "$repo/build/release" --prefix "$folder" ${component:+--component "$component"} >/dev/null ||
    fail 74 "cmake --install failed" "its message is above"
done
mkdir -p "$folder/launch" "$folder/slurm" "$folder/models"
cp "$repo"/launch/{common.sh,setup.sh,mpirun.sh,rank_env.sh,openmpi.env,get_model.sh} "$folder/launch/"
cp "$repo"/slurm/{common.sh,run.sbatch,sweep.sbatch} "$folder/slurm/"
cp -r "$repo/configs" "$folder/"
cp -r "$repo/models/tiny" "$folder/models/"
say "installed in $folder: $(du -sh "$folder" | cut -f1)"
