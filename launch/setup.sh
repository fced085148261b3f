#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Installs everything that twistor is built with on Debian 12, and nothing twice.
#
# usage: launch/setup.sh [--cuda] [--clang] [--dev] [--slurm] [--no-packages] | --runtime
#
#   --cuda         the CUDA libraries that go with LibTorch as well (3.8 GB more): run.device = cuda needs them
#   --clang        clang with its sanitizers and libFuzzer as well: continuous integration uses it
#   --dev          clang, clang-tidy and debuggers as well
#   --slurm        Slurm and munge as well: a test starts a cluster of its own with them
#   --no-packages  leave the Debian packages alone (another distribution, a cluster with modules)
#   --runtime      only the packages that a program loads which launch/install.sh has put elsewhere: no compiler, no LibTorch
#
# 1. Debian packages that are missing, through apt-get: as root, or with sudo.
# 2. LibTorch 2.11.0 into $TWISTOR_CACHE (default ~/.cache/twistor), shared by all clones. Not needed and
#    not fetched where LibTorch_ROOT points at a LibTorch of your own.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

cuda=0 clang=0 dev=0 slurm=0 with_packages=1 runtime=0
while (($#)); do
  case $1 in
    --cuda) cuda=1 ;;
    --clang) clang=1 ;;
    --dev) clang=1 dev=1 ;;
    --slurm) slurm=1 ;;
    --no-packages) with_packages=0 ;;
    --runtime) runtime=1 ;;
    -h | --help) print_help; exit 0 ;;
    *) wrong_argument "unknown argument '$1'" ;;
  esac
  shift
done

packages=(
  g++ cmake ninja-build ccache pkg-config git ca-certificates
  libopenmpi-dev openmpi-bin openssh-client
  libhdf5-openmpi-dev hdf5-tools
  libboost-program-options-dev libfmt-dev nlohmann-json3-dev libutf8proc-dev libpcre2-dev libssl-dev
  libisal-dev
  libgtest-dev libgmock-dev
  python3 unzip
  clang-format-14 shellcheck
)
# What the program is linked with (the test container_files compares), and what starts it.
runtime_packages=(
  libboost-program-options1.74.0 libfmt9 libgomp1 libhdf5-openmpi-103-1 libisal2 libopenmpi3 libpcre2-8-0 libssl3
  libstdc++6 libutf8proc2
  openmpi-bin openssh-client
)
clang_packages=(clang-16 libclang-rt-16-dev)
dev_packages=(clang-tidy-16 gdb valgrind)
slurm_packages=(slurm-wlm munge)

torch_packages=(torch==2.11.0 nvidia-cuda-runtime==13.0.96 nvidia-cuda-cupti==13.0.85)
torch_cuda_packages=(
  nvidia-cublas==13.1.0.3 nvidia-cuda-nvrtc==13.0.88 nvidia-cudnn-cu13==9.19.0.56 nvidia-cufft==12.0.0.61
  nvidia-cufile==1.15.1.6 nvidia-curand==10.4.0.35 nvidia-cusolver==12.0.4.66 nvidia-cusparse==12.6.3.3
  nvidia-cusparselt-cu13==0.8.0 nvidia-nccl-cu13==2.28.9 nvidia-nvjitlink==13.0.88 nvidia-nvshmem-cu13==3.4.5
  nvidia-nvtx==13.0.85
)

missing_packages() {
  local wanted=("${packages[@]}") name
  ((!runtime)) || wanted=("${runtime_packages[@]}")
  ((!clang)) || wanted+=("${clang_packages[@]}")
  ((!dev)) || wanted+=("${dev_packages[@]}")
  ((!slurm)) || wanted+=("${slurm_packages[@]}")
  ((runtime)) || python3 -m pip --version >/dev/null 2>&1 || wanted+=(python3-pip)
  for name in "${wanted[@]}"; do
    # Everything else is asked for by package name; any python3 will do.
    [[ $name == python3 ]] && command -v python3 >/dev/null && continue
    [[ $(dpkg-query -W -f='${db:Status-Status}' "$name" 2>/dev/null) == installed ]] || printf '%s\n' "$name"
  done
}

apt() {
  local prefix=()
  ((EUID == 0)) || prefix=(sudo)
  "${prefix[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=600 \
    -o Acquire::Retries=3 "$@"
}

install_packages() {
  local missing log
  mapfile -t missing < <(missing_packages)
  if ((${#missing[@]} == 0)); then
    say "Debian packages: all there"
    return
  fi
  command -v apt-get >/dev/null ||
    fail 78 "these Debian packages are missing and there is no apt-get: ${missing[*]}" \
      "install their equivalents with your own package manager, then run launch/setup.sh --no-packages"
  ((EUID == 0)) || command -v sudo >/dev/null ||
    fail 78 "these Debian packages are missing, and this is neither root nor is there sudo: ${missing[*]}" \
      "ask an administrator to install them, then run launch/setup.sh again"
  say "Debian packages: installing ${missing[*]}"
  log=$(mktemp)
  # A fresh image has no package lists at all; old lists name versions that the mirror no longer holds.
  if ! compgen -G '/var/lib/apt/lists/*_Packages*' >/dev/null ||
    ! apt install -y --no-install-recommends "${missing[@]}" >"$log" 2>&1 </dev/null; then
    say "Debian packages: refreshing the package lists"
    retry 3 apt update </dev/null || fail 75 "apt-get update failed" "is the network up, and is /etc/apt/sources.list right?"
    retry 2 apt install -y --no-install-recommends "${missing[@]}" >"$log" 2>&1 </dev/null || {
      tail -n 20 "$log" >&2
      fail 75 "apt-get could not install all of: ${missing[*]}" "the lines above are apt-get's; the whole text is in $log"
    }
  fi
  rm -f "$log"
  say "Debian packages: installed"
}

# is_libtorch FOLDER: the right version, whole as far as a glance tells.
is_libtorch() {
  [[ -s $1/torch/lib/libtorch_cpu.so && -s $1/torch/lib/libc10.so && -s $1/torch/include/ATen/core/Tensor.h ]] &&
    grep -q "^__version__ = '${libtorch_version}[+']" "$1/torch/version.py" 2>/dev/null
}

# download_wheels FOLDER PACKAGE...
download_wheels() {
  local target=$1
  shift
  rm -rf "$target"
  # pip matches names of platforms word by word, and each wheel has its own.
  local platforms=(--platform manylinux2014_x86_64 --platform manylinux1_x86_64) glibc
  for glibc in {17..36}; do platforms+=(--platform "manylinux_2_${glibc}_x86_64"); done
  # One command for all: a second --target call would not merge the folder "nvidia" that they share.
  PIP_ROOT_USER_ACTION=ignore python3 -m pip install --quiet --no-input --disable-pip-version-check --no-cache-dir \
    --no-deps --only-binary=:all: --implementation cp --python-version 3.11 "${platforms[@]}" --target "$target" "$@" </dev/null
}

install_libtorch() {
  local name=libtorch-$libtorch_version folder partial
  folder=$cache/$name
  if [[ -n ${LibTorch_ROOT:-} ]]; then
    say "LibTorch: using yours, LibTorch_ROOT=$LibTorch_ROOT"
    return
  fi
  if is_libtorch "$folder"; then
    say "LibTorch $libtorch_version: there, $folder"
    return
  fi
  [[ $(uname -m) == x86_64 ]] ||
    fail 78 "no LibTorch to download for $(uname -m); only x86_64 is prepared" "set LibTorch_ROOT to an unpacked LibTorch of 2.4 or later"
  mkdir -p "$cache" || fail 74 "cannot make the cache folder $cache" "set TWISTOR_CACHE to a folder you can write to"

  # Two clones may run this at once: one downloads, the other waits and finds it done.
  exec {lock}>"$cache/.$name.lock"
  flock -n "$lock" || { say "LibTorch: waiting for another setup"; flock "$lock"; }
  if is_libtorch "$folder"; then
    say "LibTorch $libtorch_version: there now, $folder"
    exec {lock}>&-
    return
  fi
  rm -rf "$cache/.$name".partial.*  # left by a setup that was killed; the lock is ours
  [[ ! -e $folder ]] ||
    fail 78 "$folder is there but is not a whole LibTorch $libtorch_version" "remove that folder and run launch/setup.sh again"
  partial=$cache/.$name.partial.$$
  trap 'rm -rf "$partial"' EXIT
  say "LibTorch $libtorch_version: downloading 530 MB to $folder"
  retry 4 download_wheels "$partial" "${torch_packages[@]}" ||
    fail 75 "pip could not download LibTorch $libtorch_version" "is the network up? pip's own settings (proxy, index, certificates) apply"
  is_libtorch "$partial" || fail 65 "what pip put into $partial is not a whole LibTorch $libtorch_version" "run launch/setup.sh again"
  python3 -c 'import ctypes, sys; ctypes.CDLL(sys.argv[1])' "$partial/torch/lib/libtorch_cpu.so" ||
    fail 65 "LibTorch was downloaded but its libtorch_cpu.so does not load on this machine" "the message above names what it misses"
  mv "$partial" "$folder"
  trap - EXIT
  exec {lock}>&-
  say "LibTorch $libtorch_version: installed"
}

# What libtorch_cuda.so, which is there anyway, loads; beside the CPU's part, so that one program serves both.
install_cuda_libraries() {
  local folder=$cache/libtorch-$libtorch_version partial
  [[ -z ${LibTorch_ROOT:-} ]] || { say "CUDA libraries: yours, which come with LibTorch_ROOT"; return; }
  if compgen -G "$folder/nvidia/*/lib/libcublas.so*" >/dev/null; then
    say "CUDA libraries: there, $folder/nvidia"
    return
  fi
  exec {lock}>"$cache/.libtorch-$libtorch_version.lock"
  flock "$lock"
  rm -rf "$folder"/.cuda.partial.*
  partial=$folder/.cuda.partial.$$
  trap 'rm -rf "$partial"' EXIT
  say "CUDA libraries: downloading 3.8 GB to $folder/nvidia"
  retry 4 download_wheels "$partial" "${torch_cuda_packages[@]}" ||
    fail 75 "pip could not download the CUDA libraries of LibTorch $libtorch_version" "is the network up? pip's own settings (proxy, index, certificates) apply"
  # libcublas comes last: it says that all is there.
  cp -al "$partial/nvidia/." "$folder/nvidia.new" 2>/dev/null || fail 74 "cannot write to $folder" "is the disk full?"
  (cd "$folder/nvidia.new" && find . -type d -exec mkdir -p "$folder/nvidia/{}" \; &&
    find . -type f ! -name 'libcublas.so*' -exec mv -f {} "$folder/nvidia/{}" \; &&
    find . -type f -exec mv -f {} "$folder/nvidia/{}" \;) || fail 74 "cannot write to $folder/nvidia" "is the disk full?"
  rm -rf "$folder/nvidia.new" "$partial"
  trap - EXIT
  exec {lock}>&-
  say "CUDA libraries: installed"
}

((!with_packages)) || install_packages
((!runtime)) || exit 0
install_libtorch
((!cuda)) || install_cuda_libraries
