#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Packs program, tests and libraries for a GPU machine that has LibTorch (PyTorch) 2.11 and a driver, but none of ours.
#
# usage: launch/gpu_pack.sh FOLDER [PROGRAM...]
#   FOLDER    is made anew: bin/, lib/, models/tiny, configs, tests/golden and run.sh
#   PROGRAM   of build/release; default: twistor, the tests that know engines, bench_engine
#
# There: FOLDER/gpu.sh [OUT]                   checks and measures everything (launch/gpu.sh)
#        FOLDER/run.sh PROGRAM ARGUMENTS...   one program; finds LibTorch by TORCH_LIB or by python3's torch
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

case ${1:-} in
  -h | --help) print_help; exit 0 ;;
  '' | -*) wrong_argument "expected a folder, got '${1:-}'" ;;
esac
folder=$1
shift
programs=("$@")
((${#programs[@]})) || programs=(twistor unit_device unit_model unit_potential unit_app unit_learn unit_twist mpi_smc mpi_learn gpu_nccl bench_engine bench_encoder)
build=$repo/build/release

[[ ! -e $folder || -e $folder/run.sh ]] || fail 73 "$folder is there and is no pack" "give another folder"
rm -rf "$folder"
mkdir -p "$folder"/{bin,lib,share,tests}

# What every Linux has, what comes with LibTorch, and what belongs to the driver stays out.
stays_out='^(ld-linux|lib(c|m|dl|rt|pthread|util|resolv|gcc_s)\.so|libc10|libtorch|libgomp|libcu|libnv|linux-vdso)'
copy_libraries() {
  ldd "$1" | awk '$3 ~ /^\// {print $1, $3}' | while read -r name path; do
    [[ $name =~ $stays_out || -e $folder/lib/$name ]] || cp -L "$path" "$folder/lib/$name"
  done
}

for program in "${programs[@]}"; do
  [[ -x $build/$program ]] || fail 66 "there is no $build/$program" "launch/build.sh release $program builds it"
  cp "$build/$program" "$folder/bin/"
  strip "$folder/bin/$program"
  copy_libraries "$build/$program"
done

# Open MPI looks for its parts below OPAL_PREFIX.
plugins=$(ompi_info --path pkglibdir --parsable | cut -d: -f3)
help_texts=$(ompi_info --path pkgdatadir --parsable | cut -d: -f3)
mkdir -p "$folder/openmpi/bin"
for tool in mpirun orted; do
  cp -L "$(command -v $tool)" "$folder/openmpi/bin/"
  copy_libraries "$(command -v $tool)"
done
mkdir -p "$folder/openmpi/plugins" "$folder/openmpi/share"
for plugin in "$plugins"/openmpi*/*.so "$plugins"/*.so; do
  [[ -f $plugin && ! $plugin =~ (ucx|ofi|psm|libfabric|usnic|portals|knem) ]] || continue
  cp -L "$plugin" "$folder/openmpi/plugins/"
  copy_libraries "$plugin"
done
cp "$help_texts"/*.txt "$folder/openmpi/share/" 2>/dev/null || true

cp "$repo/launch/gpu.sh" "$repo/bench/transformers_generate.py" "$folder/"
cp -r "$repo/models" "$repo/configs" "$folder/"
mkdir -p "$folder/tests/golden"
for golden in "$repo"/tests/golden/*; do
  case $(basename "$golden") in *.py | *.json | text_parity | tokenizers | sentencepiece | pre_tokenizers) ;; *) cp -r "$golden" "$folder/tests/golden/" ;; esac
done

cat > "$folder/run.sh" <<'RUN'
#!/usr/bin/env bash
# run.sh [-n RANKS] PROGRAM ARGUMENTS...: a program of this pack with the LibTorch that is here.
set -euo pipefail
pack=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
torch=${TORCH_LIB:-$(python3 -c 'import importlib.util as u; print(u.find_spec("torch").submodule_search_locations[0] + "/lib")')}
export LD_LIBRARY_PATH=$torch:$pack/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
export OPAL_PREFIX=$pack/openmpi PMIX_MCA_gds=hash OMPI_MCA_mca_base_component_path=$pack/openmpi/plugins
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_ess_singleton_isolated=1
export OMPI_MCA_btl=self,vader OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_hwloc_base_binding_policy=none
export TWISTOR_SOURCE_DIR=$pack
ranks=0
if [[ ${1:-} == -n ]]; then
  ranks=$2
  shift 2
fi
program=$pack/bin/$1
shift
((ranks > 0)) || exec "$program" "$@"
unset OMPI_MCA_ess_singleton_isolated
exec "$pack/openmpi/bin/mpirun" -n "$ranks" -x LD_LIBRARY_PATH -x OPAL_PREFIX "$program" "$@"
RUN
chmod +x "$folder/run.sh"
say "$(du -sh "$folder" | cut -f1) in $folder"
