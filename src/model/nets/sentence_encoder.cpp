// SPDX-License-Identifier: Apache-2.0
// Pooling and normalisation as sentence-transformers' files say.
#include "twistor/model/sentence_encoder.hpp"

#include <ATen/core/Tensor.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>

#include "families/encoder_families.hpp"
#include "families/families.hpp"
#include "twistor/base/digest.hpp"
#include "twistor/base/error.hpp"
#include "twistor/format/json_file.hpp"
#include "twistor/format/model_folder.hpp"

namespace twistor::model {
namespace {

namespace fs = std::filesystem;
using format::JsonView;

struct NamedPooling {
  std::string_view key, word, name;  // a flag, or the value of pooling_mode since sentence-transformers 5.4
  device::Pooling kind;
};
constexpr std::array poolings{
    NamedPooling{"pooling_mode_mean_tokens", "mean", "mean", device::Pooling::sum},
    NamedPooling{"pooling_mode_cls_token", "cls", "first token", device::Pooling::first},
    NamedPooling{"pooling_mode_max_tokens", "max", "max", device::Pooling::max}};

device::Pooling read_pooling(const fs::path& path, std::int64_t width) {
  const format::JsonFile file(path);
  const format::JsonView config = file.view();
  std::vector<device::Pooling> asked;
  const auto ask = [&](const JsonView& place, std::string_view text, auto member) {
    const auto* found = std::ranges::find(poolings, text, member);
    if (found == poolings.end())
      place.fail(fmt::format("this pooling is not supported ({})", text),
                 "supported: mean, CLS and max tokens");
    asked.push_back(found->kind);
  };
  if (const auto mode = config.find("pooling_mode")) {
    const bool is_list = mode->is_array();
    for (std::size_t i = 0; i < (is_list ? mode->array_size() : 1); ++i) {
      const JsonView item = is_list ? mode->item(i) : *mode;
      ask(item, item.string(), &NamedPooling::word);
    }
  }
  for (const auto& [key, value] : config.object().items()) {
    if (!key.starts_with("pooling_mode_") || !config.child(key, value).boolean()) continue;
    ask(config.child(key, value), key, &NamedPooling::key);
  }
  if (asked.size() != 1)
    config.fail(fmt::format("expected one pooling mode, got {}", asked.size()),
                "vectors of several poolings side by side are not supported");
  for (const char* key : {"word_embedding_dimension", "embedding_dimension"})
    if (const auto d = config.find(key); d && d->integer() != width)
      d->fail(fmt::format("expected {}, the encoder's width, got {}", width, d->integer()));
  return asked[0];
}

/// "Pooling" of "sentence_transformers.models.Pooling".
std::string_view module_kind(const std::string& type) {
  return std::string_view(type).substr(type.rfind('.') + 1);
}

}  // namespace

SentenceEncoder::SentenceEncoder(const fs::path& given, const LoadOptions& options) {
  const fs::path folder = format::find_model_folder(given);
  EncoderSource source = open_encoder(folder);
  const std::string weights = fingerprint_of(*source.file, "");
  encoder_ = make_encoder(std::move(source), options);
  max_tokens_ = encoder_->max_tokens();
  if (fs::exists(folder / "modules.json")) read_modules(folder);
  if (fs::exists(folder / "sentence_bert_config.json")) {
    const format::JsonFile file(folder / "sentence_bert_config.json");
    const format::JsonView config = file.view();
    if (const auto most = config.find("max_seq_length"))
      max_tokens_ = std::min(max_tokens_, most->integer(1));
    if (const auto lower = config.find("do_lower_case"); lower && lower->boolean())
      lower->fail("lower case outside the tokenizer is not supported",
                  "the tokenizer's normalizer should do it");
  }
  tokenizer_ = load_encoder_tokenizer(folder, *encoder_);
  space_fingerprint_ =
      sha256_hex(fmt::format("{}|{}|{}", weights, static_cast<int>(pooling_), is_normalised_));
  fingerprint_ = sha256_hex(fmt::format("{}|{}|{}|{}", space_fingerprint_, encoder_->fingerprint(),
                                        tokenizer_fingerprint(folder), max_tokens_));
}

void SentenceEncoder::read_modules(const fs::path& folder) {
  const format::JsonFile file(folder / "modules.json");
  const format::JsonView modules = file.view();
  constexpr std::array<std::string_view, 3> expected{"Transformer", "Pooling", "Normalize"};
  for (std::size_t i = 0; i < modules.array_size(); ++i) {
    const format::JsonView type = modules.item(i).at("type");
    if (i >= expected.size() || module_kind(type.string()) != expected[i])
      type.fail("the module \"" + type.string() + "\" is not supported here",
                "supported: Transformer, Pooling and, perhaps, Normalize, in this order");
    const std::string& path = modules.item(i).at("path").string();
    if (path.find("..") != std::string::npos || fs::path(path).is_absolute())
      modules.item(i).at("path").fail("expected a folder inside the model's, got \"" + path + "\"");
    if (i == 0 && !path.empty())
      modules.item(i).at("path").fail("expected the encoder in the same folder, got \"" + path + "\"",
                                      "give the folder that modules.json names as the Transformer");
    if (i == 1) pooling_ = read_pooling(folder / path / "config.json", width());
    if (i == 2) is_normalised_ = true;
  }
  if (modules.array_size() < 2) modules.fail("expected a Transformer and a Pooling");
}

std::string SentenceEncoder::description() const {
  const auto* pooling = std::ranges::find(poolings, pooling_, &NamedPooling::kind);
  return fmt::format("{}; {} pooling{}, texts of at most {} tokens", encoder_->description(), pooling->name,
                     is_normalised_ ? ", normalised" : "", max_tokens_);
}

std::vector<float> SentenceEncoder::embed(const TokenTexts& texts) const {
  const std::int64_t d = width();
  const at::Tensor pooled = encoder_->pool(texts, pooling_).to(at::kCPU);
  std::vector<float> out(static_cast<std::size_t>(texts.size() * d));
  for (std::int64_t i = 0; i < texts.size(); ++i) {
    const double* const row = pooled.const_data_ptr<double>() + i * d;
    double scale = pooling_ == device::Pooling::sum ? 1.0 / static_cast<double>(texts.length(i)) : 1.0;
    if (is_normalised_) {
      double squares = 0;
      for (std::int64_t c = 0; c < d; ++c) squares += row[c] * row[c];
      scale = 1.0 / std::max(std::sqrt(squares), 1e-12);  // the reference's least length
    }
    for (std::int64_t c = 0; c < d; ++c)
      out[static_cast<std::size_t>(i * d + c)] = static_cast<float>(row[c] * scale);
  }
  return out;
}

std::vector<float> SentenceEncoder::embed(std::span<const std::string> texts) const {
  return embed(tokenise(*tokenizer_, texts, max_tokens_));
}

}  // namespace twistor::model
