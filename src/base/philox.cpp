// SPDX-License-Identifier: Apache-2.0
// Philox4x32-10 and the numbers made from it.
#include "twistor/base/philox.hpp"

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

struct Pair {
  std::uint64_t first, second;
};

/// The same rounds as above in 64-bit lanes, so that the compiler computes eight ids side by side.
inline Pair pair_of(PhiloxKey key, std::uint64_t stream, std::uint32_t step, std::uint64_t id) noexcept {
  constexpr std::uint64_t m0 = 0xD2511F53u, m1 = 0xCD9E8D57u, low = 0xFFFFFFFFu;
  std::uint64_t c0 = 0, c1 = step, c2 = id & low;
  std::uint64_t c3 = (stream << 16) | ((id >> 32) & 0xFFFFu);
  std::uint32_t k0 = key[0], k1 = key[1];
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t p0 = m0 * c0, p1 = m1 * c2;
    c0 = (p1 >> 32) ^ c1 ^ k0;
    c2 = (p0 >> 32) ^ c3 ^ k1;
    c1 = p1 & low;
    c3 = p0 & low;
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return {(c1 << 32) | c0, (c3 << 32) | c2};
}

}  // namespace

void philox_pairs(std::uint64_t seed, Stream stream, std::uint32_t step, std::uint64_t first_id,
                  std::span<std::uint64_t> first, std::span<std::uint64_t> second) noexcept {
  const PhiloxKey key = key_of(seed);
  for (std::size_t i = 0; i < first.size(); ++i) {
    const Pair pair = pair_of(key, static_cast<std::uint64_t>(stream), step, first_id + i);
    first[i] = pair.first;
    second[i] = pair.second;
  }
}

void philox_uniforms(std::uint64_t seed, Stream stream, std::uint32_t step, std::span<const std::int64_t> ids,
                     std::span<double> out) noexcept {
  const PhiloxKey key = key_of(seed);
  for (std::size_t i = 0; i < ids.size(); ++i)
    out[i] = uniform_of(
        pair_of(key, static_cast<std::uint64_t>(stream), step, static_cast<std::uint64_t>(ids[i])).first);
}

}  // namespace twistor
