// SPDX-License-Identifier: Apache-2.0
// Instruction sets: names, what the processor has, and the table of kernels in use.
#include "twistor/device/isa.hpp"

#include <cpuid.h>
#include <fmt/format.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdlib>
#include <vector>

#include "twistor/base/error.hpp"
#include "twistor/device/kernels.hpp"

namespace twistor::device {

// Each is defined by a source of its own, src/device/cpu/<name>/kernels.cpp.
#define TWISTOR_DECLARE_KERNELS(name) \
  namespace name {                    \
  extern const Kernels table;         \
  }
TWISTOR_DECLARE_KERNELS(avx2)
#if TWISTOR_HAS_AVX512
TWISTOR_DECLARE_KERNELS(avx512)
TWISTOR_DECLARE_KERNELS(avx512_bf16)
TWISTOR_DECLARE_KERNELS(amx_bf16)
#endif
#undef TWISTOR_DECLARE_KERNELS

namespace {

struct Set {
  Isa isa;
  const Kernels* kernels;
};

constexpr std::array sets = {
    Set{Isa::avx2, &avx2::table},
#if TWISTOR_HAS_AVX512
    Set{Isa::avx512, &avx512::table},
    Set{Isa::avx512_bf16, &avx512_bf16::table},
    Set{Isa::amx_bf16, &amx_bf16::table},
#endif
};

/// AMX with products of bfloat16. Clang 14's __builtin_cpu_supports does not know its name.
bool has_tiles() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  constexpr unsigned bfloat16_bit = 1u << 22, tile_bit = 1u << 24;
  return __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (d & bfloat16_bit) != 0 && (d & tile_bit) != 0;
}

/// Linux lets a process use tiles once it has asked: they add 8 KiB to what is kept of each thread. An older
/// kernel, or a virtual machine without them, refuses.
bool may_use_tiles() {
  constexpr long request_permission = 0x1023, tile_data = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
  static const bool may = syscall(SYS_arch_prctl, request_permission, tile_data) == 0;
  return may;
}

bool processor_has(Isa isa) {
  __builtin_cpu_init();
  switch (isa) {
    case Isa::avx2:
      return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    case Isa::avx512:
      return processor_has(Isa::avx2) && __builtin_cpu_supports("avx512f") &&
             __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512cd") &&
             __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
    case Isa::avx512_bf16:
      return processor_has(Isa::avx512) && __builtin_cpu_supports("avx512bf16");
    case Isa::amx_bf16:
      return processor_has(Isa::avx512_bf16) && has_tiles() && may_use_tiles();
  }
  return false;
}

const Set& set_of(Isa isa) {
  return *std::ranges::find(sets, isa, &Set::isa);
}

std::string known_names() {
  std::string all;
  for (const Set& set : sets) all += fmt::format("{}{}", all.empty() ? "" : ", ", name_of(set.isa));
  return all;
}

/// The set in use; null before anybody asked.
std::atomic<const Set*>& current() {
  static std::atomic<const Set*> set = nullptr;
  return set;
}

const Set& in_use() {
  const Set* set = current().load(std::memory_order_acquire);
  if (set == nullptr) {
    const char* wanted = std::getenv("TWISTOR_ISA");
    set = &set_of(choose_isa(wanted == nullptr ? "" : wanted));
    current().store(set, std::memory_order_release);
  }
  return *set;
}

}  // namespace

std::span<const Isa> compiled_isas() {
  static constexpr auto all = [] {
    std::array<Isa, sets.size()> out{};
    std::ranges::transform(sets, out.begin(), &Set::isa);
    return out;
  }();
  return all;
}

std::optional<Isa> best_isa() {
  std::optional<Isa> best;
  for (const Isa isa : compiled_isas())
    if (processor_has(isa)) best = isa;
  return best;
}

Isa choose_isa(std::string_view wanted) {
  const char* doing = "choosing an instruction set";
  const std::optional<Isa> best = best_isa();
  TWISTOR_CHECK(best.has_value(), ErrorKind::config, doing,
                "this processor has no AVX2 and FMA (x86-64-v3), which twistor needs",
                "run on a processor of 2013 (Intel Haswell), 2017 (AMD Zen) or later");
  if (wanted.empty()) return *best;
  const std::optional<Isa> isa = find_name<Isa>(wanted);
  TWISTOR_CHECK(isa.has_value() && std::ranges::find(compiled_isas(), *isa) != compiled_isas().end(),
                ErrorKind::config, doing,
                fmt::format("TWISTOR_ISA={} is not known (expected {})", wanted, known_names()));
  TWISTOR_CHECK(processor_has(*isa), ErrorKind::config, doing,
                fmt::format("TWISTOR_ISA={}, but this processor's best is {}", wanted, name_of(*best)),
                "unset TWISTOR_ISA, or choose a weaker set");
  return *isa;
}

Isa isa_in_use() {
  return in_use().isa;
}

void use_isa(Isa isa) {
  current().store(&set_of(choose_isa(name_of(isa))), std::memory_order_release);
}

bool multiplies_bfloat16() {
  return isa_in_use() >= Isa::avx512_bf16;
}

const Kernels& kernels() {
  return *in_use().kernels;
}

}  // namespace twistor::device
