// SPDX-License-Identifier: Apache-2.0
// The head of a sequence classifier over its encoder.
#include "twistor/model/sequence_classifier.hpp"

#include <algorithm>

#include "encoder_families.hpp"
#include "twistor/base/digest.hpp"
#include "twistor/format/model_folder.hpp"

namespace twistor::model {
namespace {

device::PackedBuffer pack(const format::TensorInfo& weight) {
  device::PackedBuffer out(weight.shape[0], weight.shape[1], device::Precision::float32);
  out.matrix().pack_rows(0, format::read_f32(weight));
  return out;
}

}  // namespace

SequenceClassifier::SequenceClassifier(const std::filesystem::path& given, const LoadOptions& options) {
  const std::filesystem::path folder = format::find_model_folder(given);
  ClassifierSource source = open_classifier(folder);
  const MatrixSource::Part dense = source.head.dense.parts[0], out = source.head.out.parts[0];
  dense_ = pack(*dense.weight);
  dense_bias_ = format::read_f32(*dense.bias);
  out_ = pack(*out.weight);
  out_bias_ = format::read_f32(*out.bias);
  activation_ = source.head.activation;
  labels_ = std::move(source.labels);
  is_multi_label_ = source.is_multi_label;
  encoder_ = make_encoder(std::move(source.encoder), options);
  tokenizer_ = load_encoder_tokenizer(folder, *encoder_);
  fingerprint_ = sha256_hex(encoder_->fingerprint() + tokenizer_fingerprint(folder));
}

std::vector<float> SequenceClassifier::logits(const TokenTexts& texts) const {
  const std::int64_t n = texts.size(), d = encoder_->width();
  std::vector<float> first(static_cast<std::size_t>(n * d)), inner(first.size()),
      out(static_cast<std::size_t>(n) * labels_.size());
  encoder_->run(texts, [&](std::int64_t i, std::span<const float> hidden) {
    std::copy_n(hidden.begin(), d, first.begin() + i * d);
  });
  device::multiply(first, n, dense_.matrix(), inner, {dense_bias_.data()});
  // By rows: how a row is cut into vectors must not depend on its place in the batch.
  for (std::int64_t i = 0; i < n; ++i) activation_(inner.data() + i * d, d);
  device::multiply(inner, n, out_.matrix(), out, {out_bias_.data()});
  return out;
}

std::vector<float> SequenceClassifier::logits(std::span<const std::string> texts) const {
  return logits(tokenise(*tokenizer_, texts, encoder_->max_tokens()));
}

}  // namespace twistor::model
