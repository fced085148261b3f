// SPDX-License-Identifier: Apache-2.0
// Bodies of twists beside what transformers and peft give for them: hidden states and gradients, as two sums
// each.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty_like.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "support/decoder_golden.hpp"
#include "twistor/model/trainable_decoder.hpp"

namespace twistor::test {

/// The texts of a golden model.
struct BodyTexts {
  static constexpr std::int64_t n_prompt = 5, length = 6;  // as make_gradient_goldens.py has them
  explicit BodyTexts(const std::string& model)
      : BodyTexts(DecoderGolden(golden_folder / model / "golden.safetensors").ids) {}
  explicit BodyTexts(const at::Tensor& ids) {
    const std::int64_t* row = ids.const_data_ptr<std::int64_t>();
    prompt.assign(row, row + n_prompt);
    for (std::int64_t i = 0; i < ids.size(0); ++i, row += ids.size(1))
      tokens.insert(tokens.end(), row + n_prompt, row + n_prompt + length);
  }
  BodyTexts(std::vector<std::int64_t> first, std::vector<std::int64_t> others)
      : prompt(std::move(first)), tokens(std::move(others)) {}
  [[nodiscard]] model::Continuations view() const { return {prompt, tokens, length}; }
  std::vector<std::int64_t> prompt, tokens;
};

/// Sums with cosines and sines of the indices, and the norm.
struct Sums {
  double cosine = 0, sine = 0, square = 0;
  void add(std::size_t i, double x) {
    cosine += x * std::cos(static_cast<double>(i));
    sine += x * std::sin(static_cast<double>(i));
    square += x * x;
  }
};

inline Sums sums_of(const at::Tensor& x) {
  Sums out;
  const std::vector<float> values = device::to_host(x);
  for (std::size_t i = 0; i < values.size(); ++i) out.add(i, static_cast<double>(values[i]));
  return out;
}

/// The loss of the goldens by hidden states: cos(0.7 i).
inline at::Tensor on_hidden(const at::Tensor& hidden) {
  at::Tensor out = at::empty_like(hidden);
  for (std::int64_t i = 0; i < out.numel(); ++i)
    out.mutable_data_ptr<float>()[i] = static_cast<float>(std::cos(0.7 * static_cast<double>(i)));
  return out;
}

/// Values as a body of the CPU's engine takes them: keep what they view.
[[nodiscard]] inline std::vector<at::Tensor> views_of(const std::vector<model::LearnedTensor>& tensors) {
  std::vector<at::Tensor> views;
  for (const model::LearnedTensor& t : tensors) views.push_back(device::view_of(t.value, t.shape));
  return views;
}

/// The body's first values, which it views: keep them.
[[nodiscard]] inline std::vector<model::LearnedTensor> set_first_values(model::TrainableDecoder& body) {
  std::vector<model::LearnedTensor> tensors = body.tensors();
  body.set_values(views_of(tensors));
  return tensors;
}

inline std::map<std::string, Sums> gradients_of(const model::TrainableDecoder& body,
                                                const model::Continuations& texts) {
  const std::vector<model::LearnedTensor> tensors = body.tensors();
  std::map<std::string, Sums> out;
  std::size_t next = 0;
  body.gradient(texts, on_hidden(body.hidden(texts)),
                [&](std::size_t i, const std::vector<std::int64_t>& rows, const at::Tensor& gradient) {
                  const std::vector<float> values = device::to_host(gradient);
                  EXPECT_EQ(i, next++);
                  Sums& sums = out[tensors[i].name];
                  EXPECT_EQ(rows.empty(), !tensors[i].is_table);
                  const auto width = static_cast<std::size_t>(tensors[i].shape.back());
                  for (std::size_t j = 0; j < values.size(); ++j) {
                    const std::size_t at =
                        rows.empty() ? j : static_cast<std::size_t>(rows[j / width]) * width + j % width;
                    sums.add(at, static_cast<double>(values[j]));
                  }
                });
  EXPECT_EQ(next, tensors.size());
  return out;
}

inline nlohmann::json golden_gradients(const std::string& folder) {
  return nlohmann::json::parse(read_file(golden_folder / folder / "gradients.json"));
}

inline void expect_sums(const Sums& ours, const nlohmann::json& theirs, double tolerance,
                        const std::string& what) {
  EXPECT_NEAR(ours.cosine, theirs[0].get<double>(), tolerance) << what;
  EXPECT_NEAR(ours.sine, theirs[1].get<double>(), tolerance) << what;
}

/// All of them against the goldens. float32 here and float64 there: 5e-7 of a tensor's norm, or of that of
/// all where a tensor's gradient cancels out.
inline void expect_gradients(const std::map<std::string, Sums>& ours, const nlohmann::json& theirs,
                             const std::string& prefix = {}) {
  double square = 0;
  for (const auto& [name, sums] : ours) square += sums.square;
  for (const auto& [name, sums] : ours) {
    ASSERT_TRUE(theirs.contains(prefix + name)) << name;
    expect_sums(sums, theirs[prefix + name], 1e-5 * std::sqrt(sums.square) + 1e-6 * std::sqrt(square), name);
  }
  EXPECT_EQ(ours.size(), theirs.size());  // none is forgotten
}

}  // namespace twistor::test
