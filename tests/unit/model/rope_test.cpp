// SPDX-License-Identifier: Apache-2.0
// Cosines and sines of rotary positions against the reference, for every kind of scaling.
#include "model/families/rope.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

#include "support/error_of.hpp"
#include "support/gguf_bytes.hpp"
#include "support/memory_weights.hpp"
#include "support/temporary_folder.hpp"
#include "twistor/base/error.hpp"
#include "twistor/device/row_kernels.hpp"
#include "twistor/format/weight_formats.hpp"

namespace twistor::model {
namespace {

using nlohmann::json;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

TEST(Rope, TablesAgreeWithTheReference) {
  const json cases =
      json::parse(test::read_file(std::string(TWISTOR_SOURCE_DIR) + "/tests/golden/rope.json"));
  ASSERT_GE(cases.size(), 10u);
  for (const json& expected : cases) {
    const json& config = expected.at("config");
    SCOPED_TRACE(config.dump());
    RotaryContext context{expected.at("head_size"), expected.at("context")};
    if (config.contains("rotary_pct")) {
      context.fraction = config.at("rotary_pct");
      context.may_be_partial = true;
    }
    const Rotary rotary = rotary_from_config(format::JsonView(config, "testing"), context);
    EXPECT_NEAR(rotary.magnitude, expected.at("magnitude").get<double>(), 1e-12);
    const std::vector<std::int64_t> positions = expected.at("positions");
    const device::rows::RotaryRows table(rotary.frequencies, rotary.magnitude, positions);
    ASSERT_EQ(table.cosine.size(), positions.size() * expected.at("cosine")[0].size());
    for (std::size_t p = 0; p < positions.size(); ++p)
      for (std::size_t i = 0; i < rotary.frequencies.size(); ++i) {
        const std::size_t at = p * rotary.frequencies.size() + i;
        // The reference keeps frequencies and angles in float32, so its angles are off by a few 6e-8 of
        // themselves.
        const double angle = static_cast<double>(positions[p]) * rotary.frequencies[i];
        const double tolerance = rotary.magnitude * (2e-7 + 3e-6 * angle);
        EXPECT_NEAR(static_cast<double>(table.cosine[at]), expected.at("cosine")[p][i].get<double>(),
                    tolerance);
        EXPECT_NEAR(static_cast<double>(table.sine[at]), expected.at("sine")[p][i].get<double>(), tolerance);
      }
  }
}

TEST(Rope, PairsAreHalvesOrNeighbours) {
  const std::vector<double> frequencies{0.5, 0.1};
  const std::vector<std::int64_t> positions{0, 3};
  const device::rows::RotaryRows table(frequencies, 1.0, positions);
  const std::vector<float> head{1, 2, 3, 4, 5};  // the fifth dimension does not turn
  for (const bool is_interleaved : {false, true}) {
    std::vector<float> turned = head;
    device::rows::rotate(turned.data(), table, 1, is_interleaved);
    for (std::size_t i = 0; i < 2; ++i) {
      const std::size_t a = is_interleaved ? 2 * i : i, b = is_interleaved ? 2 * i + 1 : i + 2;
      const double angle = 3 * frequencies[i];
      EXPECT_NEAR(turned[a], head[a] * std::cos(angle) - head[b] * std::sin(angle), 1e-6);
      EXPECT_NEAR(turned[b], head[a] * std::sin(angle) + head[b] * std::cos(angle), 1e-6);
    }
    EXPECT_EQ(turned[4], 5.0f);
    turned = head;
    device::rows::rotate(turned.data(), table, 0, is_interleaved);
    EXPECT_EQ(turned, head);
  }
}

Rotary rotary_of(test::GgufBytes gguf) {
  gguf.string("general.architecture", "llama");
  const std::string bytes = gguf.build();
  const format::GgufFile file = format::GgufFile::parse(test::as_bytes(bytes), "memory");
  GgufKeys keys(file);
  Rotary rotary = rotary_from_gguf(keys, test::MemoryWeights(format::gguf_tensors(file)), 4);
  keys.finish();
  return rotary;
}

std::string refusal(const test::GgufBytes& gguf) {
  const Error error = test::error_of([&] { return rotary_of(gguf); });
  EXPECT_EQ(error.kind(), ErrorKind::data);
  return error.text();
}

std::string floats(std::initializer_list<float> values) {
  std::string out;
  for (const float value : values) test::GgufBytes::put(out, value);
  return out;
}

test::GgufBytes both_factors() {
  return test::GgufBytes()
      .tensor("rope_factors_short.weight", 0, {2}, floats({2, 4}))
      .tensor("rope_factors_long.weight", 0, {2}, floats({8, 8}));
}

TEST(Rope, KeysOfGgufAreHonoured) {
  EXPECT_THAT(rotary_of({}).frequencies, ElementsAre(1.0, 0.01));
  EXPECT_THAT(rotary_of(test::GgufBytes().value("llama.rope.freq_base", 6, 100.0f)).frequencies,
              ElementsAre(1.0, 0.1));
  EXPECT_THAT(rotary_of(test::GgufBytes().u32("llama.rope.dimension_count", 2)).frequencies,
              ElementsAre(1.0));
  const auto linear = test::GgufBytes().value("llama.rope.scaling.factor", 6, 4.0f);
  EXPECT_THAT(rotary_of(linear).frequencies, ElementsAre(0.25, 0.0025));
  EXPECT_THAT(rotary_of(test::GgufBytes(linear).string("llama.rope.scaling.type", "linear")).frequencies,
              ElementsAre(0.25, 0.0025));
  EXPECT_THAT(rotary_of(test::GgufBytes(linear).string("llama.rope.scaling.type", "none")).frequencies,
              ElementsAre(1.0, 0.01));
  EXPECT_THAT(rotary_of(test::GgufBytes().value("llama.rope.scale_linear", 6, 2.0f)).frequencies,
              ElementsAre(0.5, 0.005));
  EXPECT_THAT(
      rotary_of(test::GgufBytes().tensor("rope_freqs.weight", 0, {2}, floats({1.0f, 8.0f}))).frequencies,
      ElementsAre(1.0, 0.00125));
}

TEST(Rope, KeysOfGgufAreNeverIgnored) {
  EXPECT_THAT(refusal(test::GgufBytes().string("llama.rope.scaling.type", "yarn")),
              HasSubstr("llama.rope.scaling.type 'yarn' is not supported"));
  EXPECT_THAT(refusal(test::GgufBytes().u32("llama.rope.dimension_count", 3)),
              HasSubstr("expected an even number"));
  EXPECT_THAT(refusal(test::GgufBytes().u32("llama.rope.dimension_count", 6)), HasSubstr("expected 1 to 4"));
  EXPECT_THAT(refusal(test::GgufBytes().value("llama.rope.freq_base", 6, 0.0f)),
              HasSubstr("expected a number above 0"));
  EXPECT_THAT(refusal(test::GgufBytes().value("llama.rope.scaling.attn_factor", 6, 2.0f)),
              HasSubstr("could change its outputs: 'llama.rope.scaling.attn_factor'"));
  EXPECT_THAT(refusal(test::GgufBytes().tensor("rope_freqs.weight", 0, {3}, floats({1, 1, 1}))),
              HasSubstr("'rope_freqs.weight' (expected [2], got [3])"));
  EXPECT_THAT(refusal(test::GgufBytes().tensor("rope_freqs.weight", 0, {2}, floats({1, 0}))),
              HasSubstr("expected factors above 0, got 0"));
  EXPECT_THAT(refusal(test::GgufBytes().tensor("rope_factors_long.weight", 0, {2}, floats({1, 1}))),
              HasSubstr("'rope_factors_short.weight' [2]"));
  EXPECT_THAT(refusal(both_factors().string("llama.rope.scaling.type", "linear")),
              HasSubstr("does not go with the factors of LongRoPE"));
}

TEST(Rope, FactorsOfLongRopeInGguf) {
  const Rotary near = rotary_of(both_factors());
  EXPECT_THAT(near.frequencies, ElementsAre(0.5, 0.0025));
  EXPECT_EQ(near.magnitude, 1.0);
  const Rotary scaled = rotary_of(both_factors()
                                      .value("llama.rope.scaling.attn_factor", 6, 1.25f)
                                      .u32("llama.rope.scaling.original_context_length", 32)
                                      .string("llama.rope.scaling.type", "longrope"));
  EXPECT_THAT(scaled.frequencies, ElementsAre(0.5, 0.0025));
  EXPECT_EQ(scaled.magnitude, 1.25);
}

/// The long factors are there for contexts beyond the first one, and where they are given.
TEST(Rope, LongFactorsAreThereBeyondTheFirstContext) {
  const auto long_of = [](const char* text, std::int64_t context) {
    const json config = json::parse(text);
    return long_rotary_from_config(format::JsonView(config, "testing"), {4, context});
  };
  const char* const config = R"({"rope_parameters": {"rope_type": "longrope", "short_factor": [1.0, 1.5],
      "long_factor": [2.0, 10.0], "original_max_position_embeddings": 32}})";
  const auto found = long_of(config, 64);
  ASSERT_TRUE(found);
  EXPECT_THAT(found->frequencies, ElementsAre(0.5, 0.001));
  EXPECT_DOUBLE_EQ(found->magnitude, std::sqrt(1 + std::log(2.0) / std::log(32.0)));
  EXPECT_FALSE(long_of(config, 32));
  EXPECT_FALSE(long_of(R"({"rope_theta": 10000})", 64));
  EXPECT_FALSE(long_of(R"({"rope_parameters": {"rope_type": "longrope", "short_factor": [1.0, 1.5],
      "original_max_position_embeddings": 32}})",
                       64));
}

TEST(Rope, OneNumberUnderTwoNamesMustBeOneNumber) {
  const auto refused = [](const char* text) {
    const json config = json::parse(text);
    return test::message_of([&] { return rotary_from_config(format::JsonView(config, "testing"), {8, 64}); });
  };
  EXPECT_THAT(refused(R"({"rope_theta": 10000.0, "rope_parameters": {"rope_theta": 500000.0}})"),
              AllOf(HasSubstr("rope_parameters.rope_theta: expected 10000 as in rope_theta, got 500000"),
                    HasSubstr("hint: ")));
  EXPECT_THAT(refused(R"({"rotary_emb_base": 10000, "rope_scaling": {"rope_theta": 5.0}})"),
              HasSubstr("expected 10000 as in rotary_emb_base"));
  EXPECT_THAT(refused(R"({"rope_scaling": {"rope_theta": 5.0}, "rope_parameters": {"rope_theta": 6.0}})"),
              HasSubstr("rope_parameters.rope_theta: expected 5 as in rope_scaling.rope_theta, got 6"));
  EXPECT_THAT(refused(R"({"rotary_pct": 0.25, "rope_parameters": {"partial_rotary_factor": 0.5}})"),
              HasSubstr("expected 0.25 as in rotary_pct"));
  EXPECT_EQ(refused(R"({"rope_theta": 5.0, "rope_parameters": {"rope_theta": 5.0}})"), "no error");
  EXPECT_EQ(refused(R"({"rope_theta": 5.0, "rope_parameters": null})"), "no error");
}

/// What llama.cpp's converter writes into rope_freqs.weight for these keys of config.json.
std::vector<float> factors_of_converter(double base, double factor, double low, double high, double original,
                                        std::int64_t head_size) {
  constexpr double two_pi = 6.283185307179586;
  std::vector<float> out;
  for (std::int64_t i = 0; i < head_size; i += 2) {
    const double wavelength =
        two_pi * std::pow(base, static_cast<double>(i) / static_cast<double>(head_size));
    if (wavelength < original / high) {
      out.push_back(1);
    } else if (wavelength > original / low) {
      out.push_back(static_cast<float>(factor));
    } else {
      const double smooth = (original / wavelength - low) / (high - low);
      out.push_back(static_cast<float>(1 / ((1 - smooth) / factor + smooth)));
    }
  }
  return out;
}

TEST(Rope, FactorsOfGgufAreLlama3sScalingOfConfigJson) {
  constexpr std::int64_t head_size = 32;
  const json config =
      json::parse(R"({"rope_theta": 500000.0, "rope_scaling": {"rope_type": "llama3", "factor": 8.0,
    "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 256}})");
  RotaryContext context{head_size, 1024};
  context.base = 500000.0;
  const Rotary expected = rotary_from_config(format::JsonView(config, "testing"), context);
  std::string bytes;
  for (const float value : factors_of_converter(500000, 8, 1, 4, 256, head_size))
    test::GgufBytes::put(bytes, value);
  test::GgufBytes gguf;
  gguf.string("general.architecture", "llama").value("llama.rope.freq_base", 6, 500000.0f);
  const std::string file_bytes = gguf.tensor("rope_freqs.weight", 0, {head_size / 2}, bytes).build();
  const format::GgufFile file = format::GgufFile::parse(test::as_bytes(file_bytes), "memory");
  GgufKeys keys(file);
  const Rotary got = rotary_from_gguf(keys, test::MemoryWeights(format::gguf_tensors(file)), head_size);
  ASSERT_EQ(got.frequencies.size(), expected.frequencies.size());
  std::set<bool> kinds;
  for (std::size_t i = 0; i < got.frequencies.size(); ++i) {
    EXPECT_NEAR(got.frequencies[i] / expected.frequencies[i], 1.0, 1e-6) << i;
    kinds.insert(expected.frequencies[i] <
                 0.9 * std::pow(500000.0, -2.0 * static_cast<double>(i) / head_size));
  }
  EXPECT_EQ(kinds.size(), 2u) << "some waves are stretched and some are not";
}

}  // namespace
}  // namespace twistor::model
