# SPDX-License-Identifier: Apache-2.0
# What the launch scripts share: messages, cores, memory, folders. Sourced, never run.
# shellcheck shell=bash disable=SC2034  # the variables are for those who source this

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cache=${TWISTOR_CACHE:-${HOME:-/root}/.cache/twistor}
# The cache may be given as a relative path; the scripts change folders.
case $cache in /*) ;; *) cache=$PWD/$cache ;; esac
libtorch_version=2.11.0

say() { printf '[%s] %s\n' "${0##*/}" "$*"; }

# fail CODE PROBLEM HINT: the codes are sysexits', like those of twistor itself.
fail() {
  printf '[%s] error: %s\nhint: %s\n' "${0##*/}" "$2" "$3" >&2
  exit "$1"
}

# Prints the block of comments at the top of the running script.
print_help() { sed -n '2,/^[^#]/{/^# SPDX/d;/^#/!d;s/^# \{0,1\}//;p}' "$0"; }

wrong_argument() { fail 64 "$1" "launch/${0##*/} --help lists what it takes"; }

# Cores that this process may use. nproc on its own would obey OMP_NUM_THREADS.
n_cores() { env -u OMP_NUM_THREADS -u OMP_THREAD_LIMIT nproc; }

# Memory that a build may fill, in GiB: what is free, or less where a container sets a limit.
free_memory_gib() {
  local kib limit
  kib=$(awk '/^MemAvailable:/ {print $2}' /proc/meminfo 2>/dev/null)
  kib=${kib:-4194304}
  if limit=$(cat /sys/fs/cgroup/memory.max 2>/dev/null) && [[ $limit =~ ^[0-9]+$ ]] && ((limit / 1024 < kib)); then
    kib=$((limit / 1024))
  fi
  echo $((kib / 1048576))
}

# One compiler for each core and each 2 GiB: sources that parse Torch headers take up to 1.3 GiB.
n_build_jobs() {
  local cores memory
  cores=$(n_cores)
  memory=$(($(free_memory_gib) / 2))
  echo $((memory < 1 ? 1 : memory < cores ? memory : cores))
}

# retry N COMMAND...: again after a pause that doubles.
retry() {
  local left=$1 pause=${TWISTOR_RETRY_PAUSE_S:-4}
  shift
  until "$@"; do
    left=$((left - 1))
    ((left > 0)) || return 1
    say "failed; trying again in ${pause} s ($left left)"
    sleep "$pause"
    pause=$((pause * 2))
  done
}

# ensure_setup PRESET: installs what is missing, and only then. What counts is whether the build can be configured, not the
# names of packages: tools of your own are as good.
ensure_setup() {
  ! command -v ninja >/dev/null || ! (cd "$repo" && cmake --preset "$1") >/dev/null 2>&1 || return 0
  say "preset $1 cannot be configured: launch/setup.sh installs what is missing"
  "$repo/launch/setup.sh"
}

# ensure_clang: leaves the name of a clang++ that knows std::source_location; installs one where none is.
ensure_clang() {
  find_clang() {
    local name
    for name in clang++-16 clang++-17 clang++-18 clang++-19; do
      clang=$(command -v "$name") || continue
      # Debian has the sanitizers' libraries in a package of their own.
      if "$clang" -fsanitize=address -x c++ - -o /dev/null <<<'int main() {}' 2>/dev/null; then return; fi
    done
    return 1
  }
  find_clang || {
    say "no clang++ of version 16 or later with its sanitizers: launch/setup.sh --clang installs it"
    "$repo/launch/setup.sh" --clang
    find_clang || fail 78 "no clang++ of version 16 or later with its sanitizers" "launch/setup.sh --clang installs it"
  }
}

# clang_build TARGET...: in build/fuzz, by clang with the sanitizers and libFuzzer's coverage, warnings being errors.
clang_build() {
  local build=$repo/build/fuzz clang
  ensure_clang
  say "configuring with $clang"
  mkdir -p "$build"
  # clang 16 crashed on kernels with AVX-512's bfloat16 instructions, which parsers do not need.
  cmake -S "$repo" -B "$build" -G Ninja -DTWISTOR_AVX512=OFF -DTWISTOR_WERROR=ON -DCMAKE_BUILD_TYPE=RelWithDebInfo \
    -DCMAKE_C_COMPILER="${clang/clang++/clang}" -DCMAKE_CXX_COMPILER="$clang" -DTWISTOR_FUZZ=ON \
    -DTWISTOR_SANITIZE=fuzzer-no-link,address,undefined -DTWISTOR_BENCH=OFF -DTWISTOR_TOOLS=OFF >"$build/configure.log" 2>&1 || {
    cat "$build/configure.log" >&2
    fail 78 "cmake failed" "launch/setup.sh installs what the build needs"
  }
  cmake --build "$build" --parallel "${TWISTOR_JOBS:-$(n_build_jobs)}" --target "$@" ||
    fail 70 "the build failed" "the compiler's message is above"
}

# Seconds as people read them.
duration() { printf '%d min %02d s' $(($1 / 60)) $(($1 % 60)); }
