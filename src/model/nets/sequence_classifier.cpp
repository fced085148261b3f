// SPDX-License-Identifier: Apache-2.0
// The head of a sequence classifier over its encoder.
#include "twistor/model/sequence_classifier.hpp"

#include <ATen/core/Tensor.h>

#include "families/encoder_families.hpp"
#include "twistor/base/digest.hpp"
#include "twistor/format/model_folder.hpp"
#include "weights/weight_packer.hpp"

namespace twistor::model {

SequenceClassifier::SequenceClassifier(const std::filesystem::path& given, const LoadOptions& options) {
  const std::filesystem::path folder = format::find_model_folder(given);
  ClassifierSource source = open_classifier(folder);
  LoadOptions of_head;
  of_head.engine = options.used_engine()->for_precision(device::Precision::float32);
  head_engine_ = of_head.engine;
  WeightPacker packer(nullptr, of_head);
  dense_ = packer.linear(source.head.dense);
  out_ = packer.linear(source.head.out);
  activation_ = source.head.activation;
  labels_ = std::move(source.labels);
  is_multi_label_ = source.is_multi_label;
  encoder_ = make_encoder(std::move(source.encoder), options);
  tokenizer_ = load_encoder_tokenizer(folder, *encoder_);
  fingerprint_ = sha256_hex(encoder_->fingerprint() + tokenizer_fingerprint(folder));
}

std::vector<float> SequenceClassifier::logits(const TokenTexts& texts) const {
  const at::Tensor first = encoder_->pool(texts, device::Pooling::first).to(at::kFloat);
  const std::int64_t n = texts.size();
  at::Tensor inner = head_engine_->empty({n, encoder_->width()}), active = head_engine_->empty(inner.sizes()),
             out = head_engine_->empty({n, static_cast<std::int64_t>(labels_.size())});
  head_engine_->project(first, dense_, inner);
  head_engine_->activate(activation_, false, inner, active);
  head_engine_->project(active, out_, out);
  return device::to_host(out);
}

std::vector<float> SequenceClassifier::logits(std::span<const std::string> texts, bool adds_special) const {
  return logits(tokenise(*tokenizer_, texts, encoder_->max_tokens(), adds_special));
}

std::vector<float> SequenceClassifier::logits_of_answers(const std::string& prompt,
                                                         std::span<const std::string> answers) const {
  return logits(tokenise_answers(*tokenizer_, prompt, answers, encoder_->max_tokens()));
}

}  // namespace twistor::model
