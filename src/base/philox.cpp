// SPDX-License-Identifier: Apache-2.0
// Philox4x32-10 and the numbers made from it.
#include "twistor/base/philox.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

#include "twistor/base/wide_int.hpp"

namespace twistor {
namespace {

PhiloxKey key_of(std::uint64_t seed) noexcept {
  return {static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)};
}

/// 52 bits, open at both ends. Signed, because processors before AVX-512 convert no unsigned lanes.
inline double uniform_of(std::uint64_t word) noexcept {
  return (static_cast<double>(static_cast<std::int64_t>(word >> 12)) + 0.5) * 0x1p-52;
}

}  // namespace

PhiloxCounter philox4x32_10(PhiloxCounter c, PhiloxKey k) noexcept {
  constexpr std::uint64_t m0 = 0xD2511F53u, m1 = 0xCD9E8D57u;
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t p0 = m0 * c[0], p1 = m1 * c[2];
    c = {static_cast<std::uint32_t>(p1 >> 32) ^ c[1] ^ k[0], static_cast<std::uint32_t>(p1),
         static_cast<std::uint32_t>(p0 >> 32) ^ c[3] ^ k[1], static_cast<std::uint32_t>(p0)};
    k[0] += 0x9E3779B9u;
    k[1] += 0xBB67AE85u;
  }
  return c;
}

std::uint64_t derive_seed(std::uint64_t seed, Stream purpose, std::uint64_t index) noexcept {
  // The block word 0xFFFFFFFF is out of reach of Philox objects, so a derived seed never equals numbers drawn
  // elsewhere.
  const PhiloxCounter out =
      philox4x32_10({0xFFFFFFFFu, static_cast<std::uint32_t>(purpose), static_cast<std::uint32_t>(index),
                     static_cast<std::uint32_t>(index >> 32)},
                    key_of(seed));
  return (static_cast<std::uint64_t>(out[1]) << 32) | out[0];
}

Philox::Philox(std::uint64_t seed, Stream stream, std::uint32_t step, std::uint64_t id) noexcept
    : key_(key_of(seed)),
      counter_{
          0, step, static_cast<std::uint32_t>(id),
          (static_cast<std::uint32_t>(stream) << 16) | static_cast<std::uint32_t>((id >> 32) & 0xFFFFu)} {}

std::uint32_t Philox::next_u32() noexcept {
  if (used_ == 4) {
    block_ = philox4x32_10(counter_, key_);
    ++counter_[0];
    used_ = 0;
  }
  return block_[static_cast<std::size_t>(used_++)];
}

std::uint64_t Philox::next_u64() noexcept {
  const std::uint64_t low = next_u32();
  return (static_cast<std::uint64_t>(next_u32()) << 32) | low;
}

double Philox::uniform() noexcept {
  return uniform_of(next_u64());
}

std::uint64_t Philox::below(std::uint64_t n) noexcept {
  return static_cast<std::uint64_t>((static_cast<UInt128>(next_u64()) * n) >> 64);
}

double Philox::normal() noexcept {
  const double radius = std::sqrt(-2.0 * std::log(uniform()));
  return radius * std::cos(2.0 * std::numbers::pi * uniform());
}

namespace {

constexpr std::size_t n_lanes = 32;

/// The rounds above for many ids side by side, in loops that compilers turn into products of vectors. With
/// one counter after the other they take such a product by a constant apart into shifts and sums.
struct Lanes {
  std::array<std::uint32_t, n_lanes> c0, c1, c2, c3;

  void compute(PhiloxKey k, std::uint32_t stream, std::uint32_t step,
               const std::array<std::uint64_t, n_lanes>& ids) noexcept {
    constexpr std::uint64_t m0 = 0xD2511F53u, m1 = 0xCD9E8D57u;
    for (std::size_t i = 0; i < n_lanes; ++i) {
      c0[i] = 0;
      c1[i] = step;
      c2[i] = static_cast<std::uint32_t>(ids[i]);
      c3[i] = (stream << 16) | static_cast<std::uint32_t>((ids[i] >> 32) & 0xFFFFu);
    }
    for (int round = 0; round < 10; ++round) {
      for (std::size_t i = 0; i < n_lanes; ++i) {
        const std::uint64_t p0 = m0 * c0[i], p1 = m1 * c2[i];
        c0[i] = static_cast<std::uint32_t>(p1 >> 32) ^ c1[i] ^ k[0];
        c2[i] = static_cast<std::uint32_t>(p0 >> 32) ^ c3[i] ^ k[1];
        c1[i] = static_cast<std::uint32_t>(p1);
        c3[i] = static_cast<std::uint32_t>(p0);
      }
      k[0] += 0x9E3779B9u;
      k[1] += 0xBB67AE85u;
    }
  }
  [[nodiscard]] std::uint64_t first(std::size_t i) const noexcept {
    return (static_cast<std::uint64_t>(c1[i]) << 32) | c0[i];
  }
  [[nodiscard]] std::uint64_t second(std::size_t i) const noexcept {
    return (static_cast<std::uint64_t>(c3[i]) << 32) | c2[i];
  }
};

/// Calls use(begin, size, lanes) with the numbers of the ids id_of(begin), id_of(begin + 1), ... of n.
template <class IdOf, class Use>
void for_lanes(std::uint64_t seed, Stream stream, std::uint32_t step, std::size_t n, IdOf id_of, Use use) {
  Lanes lanes;
  std::array<std::uint64_t, n_lanes> ids{};
  for (std::size_t begin = 0; begin < n; begin += n_lanes) {
    const std::size_t size = std::min(n_lanes, n - begin);
    for (std::size_t i = 0; i < size; ++i) ids[i] = id_of(begin + i);
    lanes.compute(key_of(seed), static_cast<std::uint32_t>(stream), step, ids);
    use(begin, size, lanes);
  }
}

}  // namespace

void philox_pairs(std::uint64_t seed, Stream stream, std::uint32_t step, std::uint64_t first_id,
                  std::span<std::uint64_t> first, std::span<std::uint64_t> second) noexcept {
  for_lanes(
      seed, stream, step, first.size(), [&](std::size_t i) { return first_id + i; },
      [&](std::size_t begin, std::size_t size, const Lanes& lanes) {
        for (std::size_t i = 0; i < size; ++i) {
          first[begin + i] = lanes.first(i);
          second[begin + i] = lanes.second(i);
        }
      });
}

void philox_uniforms(std::uint64_t seed, Stream stream, std::uint32_t step, std::span<const std::int64_t> ids,
                     std::span<double> out) noexcept {
  for_lanes(
      seed, stream, step, ids.size(), [&](std::size_t i) { return static_cast<std::uint64_t>(ids[i]); },
      [&](std::size_t begin, std::size_t size, const Lanes& lanes) {
        for (std::size_t i = 0; i < size; ++i) out[begin + i] = uniform_of(lanes.first(i));
      });
}

}  // namespace twistor
