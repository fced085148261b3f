// SPDX-License-Identifier: Apache-2.0
// Golden texts of tokens and what an independent implementation makes of them, as
// tests/golden/make_encoder_goldens.py writes them.
#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "twistor/base/mapped_file.hpp"
#include "twistor/format/weight_formats.hpp"
#include "twistor/model/encoder.hpp"

namespace twistor::model {

inline const std::filesystem::path encoder_goldens =
    std::filesystem::path(TWISTOR_SOURCE_DIR) / "tests/golden/encoders";

class EncoderGolden {
 public:
  explicit EncoderGolden(const std::string& family)
      : file_(encoder_goldens / family / "golden.safetensors"),
        tensors_(format::parse_safetensors(file_.bytes(), file_.path().string())) {
    const auto ids = integers("ids"), types = integers("type_ids");
    std::size_t at = 0;
    for (const std::int64_t length : integers("lengths")) {
      const auto n = static_cast<std::size_t>(length);
      texts.add(std::span(ids).subspan(at, n), std::span(types).subspan(at, n));
      at += n;
    }
  }

  [[nodiscard]] std::vector<float> floats(const std::string& name) const {
    const format::TensorInfo& tensor = find(name);
    std::vector<float> out(static_cast<std::size_t>(tensor.numel()));
    format::read_rows_f32(tensor, 0, tensor.shape[0], out);
    return out;
  }

  TokenTexts texts;

 private:
  [[nodiscard]] const format::TensorInfo& find(const std::string& name) const {
    for (const format::TensorInfo& tensor : tensors_)
      if (tensor.name == name) return tensor;
    throw std::runtime_error("no golden tensor is called " + name);
  }
  [[nodiscard]] std::vector<std::int64_t> integers(const std::string& name) const {
    const format::TensorInfo& tensor = find(name);
    std::vector<std::int64_t> out(static_cast<std::size_t>(tensor.numel()));
    std::memcpy(out.data(), tensor.bytes.data(), tensor.bytes.size());
    return out;
  }

  MappedFile file_;
  std::vector<format::TensorInfo> tensors_;
};

/// The hidden states of all texts, one after another.
[[nodiscard]] inline std::vector<float> all_hidden(const Encoder& encoder, const TokenTexts& texts) {
  std::vector<float> out;
  std::int64_t next = 0;
  encoder.run(texts, [&](std::int64_t i, std::span<const float> hidden) {
    EXPECT_EQ(i, next++);
    out.insert(out.end(), hidden.begin(), hidden.end());
  });
  EXPECT_EQ(next, texts.size());
  return out;
}

/// Some of the texts, in the order of `which`.
[[nodiscard]] inline TokenTexts pick(const TokenTexts& texts, std::span<const std::int64_t> which) {
  TokenTexts out;
  for (const std::int64_t i : which) {
    const auto at = static_cast<std::size_t>(texts.begins[static_cast<std::size_t>(i)]);
    const auto n = static_cast<std::size_t>(texts.length(i));
    out.add(std::span(texts.ids).subspan(at, n), std::span(texts.type_ids).subspan(at, n));
  }
  return out;
}

/// The largest difference over the spread of what is expected.
[[nodiscard]] inline double relative_difference(const std::vector<float>& values,
                                                const std::vector<float>& expected) {
  EXPECT_EQ(values.size(), expected.size());
  double most = 0;
  for (std::size_t i = 0; i < values.size(); ++i)
    most = std::max(most, std::abs(static_cast<double>(values[i]) - static_cast<double>(expected[i])));
  const auto [low, high] = std::minmax_element(expected.begin(), expected.end());
  return most / (static_cast<double>(*high) - static_cast<double>(*low));
}

}  // namespace twistor::model
