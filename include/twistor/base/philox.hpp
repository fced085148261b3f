// SPDX-License-Identifier: Apache-2.0
// Counter-based random numbers: Philox4x32-10 (Salmon et al. 2011), keyed by what is drawn and never by who
// draws it.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "twistor/base/streams.hpp"

namespace twistor {

using PhiloxCounter = std::array<std::uint32_t, 4>;
using PhiloxKey = std::array<std::uint32_t, 2>;

/// Ten rounds of Philox4x32. A pure function; agrees with the known answers of Random123.
[[nodiscard]] PhiloxCounter philox4x32_10(PhiloxCounter counter, PhiloxKey key) noexcept;

/// A new seed for a numbered part of a run (update, repeat, epoch), far from every other.
[[nodiscard]] std::uint64_t derive_seed(std::uint64_t seed, Stream purpose, std::uint64_t index) noexcept;

/// The random numbers of one (seed, stream, step, id). Cheap to make; makes no promise across different keys'
/// order. `id` is a global particle id (below 2^48), so results do not depend on the number of ranks.
class Philox {
 public:
  Philox(std::uint64_t seed, Stream stream, std::uint32_t step, std::uint64_t id) noexcept;

  /// Next 32 random bits.
  [[nodiscard]] std::uint32_t next_u32() noexcept;
  /// Next 64 random bits.
  [[nodiscard]] std::uint64_t next_u64() noexcept;
  /// Uniform on the open interval (0, 1), 52 bits; never 0 and never 1.
  [[nodiscard]] double uniform() noexcept;
  /// Uniform on {0, ..., n - 1}, n >= 1, without modulo bias beyond 2^-64.
  [[nodiscard]] std::uint64_t below(std::uint64_t n) noexcept;
  /// Standard normal (Box and Muller).
  [[nodiscard]] double normal() noexcept;

 private:
  PhiloxKey key_;
  PhiloxCounter counter_;
  PhiloxCounter block_{};
  int used_ = 4;
};

/// What Philox(seed, stream, step, first_id + i) returns from its first and its second next_u64(), for all i
/// at once: first[i] and second[i], two spans of one length. Several times faster than one object each.
void philox_pairs(std::uint64_t seed, Stream stream, std::uint32_t step, std::uint64_t first_id,
                  std::span<std::uint64_t> first, std::span<std::uint64_t> second) noexcept;

/// out[i] = Philox(seed, stream, step, ids[i]).uniform(), for ids in any order. Likewise.
void philox_uniforms(std::uint64_t seed, Stream stream, std::uint32_t step, std::span<const std::int64_t> ids,
                     std::span<double> out) noexcept;

}  // namespace twistor
