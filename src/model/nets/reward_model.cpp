// SPDX-License-Identifier: Apache-2.0
// A decoder's last hidden state, and a linear head on it; or an encoder with its own head.
#include "twistor/model/reward_model.hpp"

#include <ATen/core/Tensor.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <numeric>

#include "families/encoder_families.hpp"
#include "families/families.hpp"
#include "twistor/base/digest.hpp"
#include "twistor/base/error.hpp"
#include "twistor/device/tensor_vocabulary.hpp"
#include "twistor/format/json_file.hpp"
#include "twistor/format/model_folder.hpp"
#include "twistor/format/quote.hpp"
#include "twistor/model/encoder.hpp"

namespace twistor::model {
namespace {

constexpr std::array known_rewards{"Gemma2ForSequenceClassification", "Gemma3TextForSequenceClassification",
                                   "LlamaForSequenceClassification",  "MistralForSequenceClassification",
                                   "Olmo2ForSequenceClassification",  "Phi3ForSequenceClassification",
                                   "Qwen2ForSequenceClassification",  "Qwen3ForSequenceClassification",
                                   "SmolLM3ForSequenceClassification"};
constexpr std::array known_encoders{"BertForSequenceClassification", "DebertaV2ForSequenceClassification",
                                    "DistilBertForSequenceClassification",
                                    "RobertaForSequenceClassification"};

/// Whether the model is one of the encoders, rather than of the decoders.
bool is_encoder(const format::JsonView& config) {
  const format::JsonView names = config.at("architectures");
  const std::string name = names.array_size() == 1 ? names.item(0).string() : "";
  if (std::ranges::find(known_encoders, name) != known_encoders.end()) return true;
  if (std::ranges::find(known_rewards, name) == known_rewards.end())
    names.fail(
        "the architecture " + format::quote(name) + " is no reward model that is known",
        fmt::format("supported: {}, {}", fmt::join(known_rewards, ", "), fmt::join(known_encoders, ", ")));
  return false;
}

}  // namespace

RewardModel::RewardModel(const std::filesystem::path& given, const LoadOptions& options) {
  const std::filesystem::path folder = format::find_model_folder(given);
  const std::string doing = "loading the reward model " + folder.string();
  {
    const format::JsonFile config(folder / "config.json");
    if (is_encoder(config.view())) encoder_ = std::make_unique<SequenceClassifier>(folder, options);
    labels_ = read_labels(config.view());
  }
  if (encoder_ != nullptr) {
    fingerprint_ = encoder_->fingerprint();
    return;
  }
  DecoderSource source = open_body(folder);
  const std::vector<std::int64_t> shape{static_cast<std::int64_t>(labels_.size()), source.traits.width};
  const format::TensorInfo& weight = source.file->require("score.weight", shape);
  head_ = device::PackedBuffer(shape[0], shape[1], device::Precision::float32);
  head_.matrix().pack_rows(0, format::read_f32(weight));
  tokenizer_ = text::need_tokenizer(folder, doing);
  TWISTOR_CHECK(tokenizer_->vocab_size() <= source.traits.vocab_size, ErrorKind::data, doing,
                fmt::format("its tokenizer has {} tokens and its embedding {}", tokenizer_->vocab_size(),
                            source.traits.vocab_size),
                "tokenizer and weights are not of the same model");
  fingerprint_ = sha256_hex(
      fmt::format("{}:{}:{}", source.fingerprint, name_of(options.precision), tokenizer_fingerprint(folder)));
  body_ = make_decoder(std::move(source), options);
}

std::string RewardModel::description() const {
  return encoder_ != nullptr ? encoder_->encoder().description() : body_->description();
}

std::vector<float> RewardModel::logits(std::span<const std::string> texts, bool adds_special) const {
  return encoder_ != nullptr ? encoder_->logits(texts, adds_special) : logits_of_last(texts, adds_special);
}

std::vector<float> RewardModel::logits_of_answers(const std::string& prompt,
                                                  std::span<const std::string> answers) const {
  TWISTOR_CHECK(reads_pairs(), ErrorKind::usage, "asking the reward model",
                "it reads no prompt and answer as a pair", "give it one text");
  return encoder_->logits_of_answers(prompt, answers);
}

std::vector<float> RewardModel::logits_of_last(std::span<const std::string> texts, bool adds_special) const {
  constexpr std::int64_t most_at_once = 4096;  // of a batch, padded: bounds the memory
  std::vector<std::vector<std::int64_t>> ids;
  for (const std::string& text : texts) {
    ids.push_back(adds_special ? tokenizer_->encode_with_template(text, body_->context_length()).ids
                               : tokenizer_->encode(text));
    if (static_cast<std::int64_t>(ids.back().size()) > body_->context_length())
      ids.back().resize(static_cast<std::size_t>(body_->context_length()));
    TWISTOR_CHECK(!ids.back().empty(), ErrorKind::data, "asking the reward model",
                  fmt::format("the text {} has no tokens, so there is no last one", format::quote(text)),
                  "let it see the prompt too: target.scope = all");
  }
  // Texts of similar lengths go together. What stands to the right of a token does not change its hidden
  // state.
  std::vector<std::size_t> order(ids.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, {}, [&](std::size_t i) { return ids[i].size(); });
  const std::int64_t d = body_->hidden_size();
  std::vector<float> last(ids.size() * static_cast<std::size_t>(d));
  for (std::size_t begin = 0; begin < order.size();) {
    std::size_t end = begin + 1;
    while (end < order.size() &&
           static_cast<std::int64_t>((end - begin + 1) * ids[order[end]].size()) <= most_at_once)
      ++end;
    const std::size_t longest = ids[order[end - 1]].size();
    std::vector<std::int64_t> tokens;
    for (std::size_t j = begin; j < end; ++j) {
      tokens.insert(tokens.end(), ids[order[j]].begin(), ids[order[j]].end());
      tokens.resize((j - begin + 1) * longest, 0);
    }
    const auto cache = body_->make_cache(static_cast<std::int64_t>(end - begin));
    std::vector<std::int64_t> rows;
    for (std::size_t j = begin; j < end; ++j)
      rows.push_back(static_cast<std::int64_t>((j - begin) * longest + ids[order[j]].size() - 1));
    const at::Tensor hidden = body_->forward(tokens, *cache).view({-1, d});
    const std::vector<float> found =
        device::to_host(hidden.index_select(0, device::to_device(rows, hidden.device())));
    for (std::size_t j = begin; j < end; ++j)
      std::copy_n(found.begin() + static_cast<std::ptrdiff_t>(j - begin) * d, d,
                  last.begin() + static_cast<std::ptrdiff_t>(order[j]) * d);
    begin = end;
  }
  std::vector<float> out(ids.size() * labels_.size());
  device::multiply(last, static_cast<std::int64_t>(ids.size()), head_.matrix(), out, {nullptr});
  return out;
}

}  // namespace twistor::model
