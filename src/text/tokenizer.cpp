// SPDX-License-Identifier: Apache-2.0
// Finding the files of a tokenizer.
#include "twistor/text/tokenizer.hpp"

#include <fmt/format.h>

#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

#include "twistor/base/error.hpp"
#include "twistor/base/mapped_file.hpp"
#include "twistor/format/gguf_parts.hpp"
#include "twistor/format/json_file.hpp"
#include "twistor/format/model_folder.hpp"
#include "twistor/format/quote.hpp"
#include "twistor/text/tokenizer_formats.hpp"

namespace twistor::text {
namespace {

namespace fs = std::filesystem;

std::string_view as_text(const MappedFile& file) {
  return {reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()};
}

std::optional<format::JsonFile> open_if_there(const fs::path& path) {
  if (!fs::exists(path)) return std::nullopt;
  return std::make_optional<format::JsonFile>(path);
}

// The eos_token_id of a file, a number or a list; empty where it is missing, null or [].
std::vector<std::int64_t> read_end_ids(const fs::path& path) {
  std::vector<std::int64_t> ids;
  const auto config = open_if_there(path);
  const auto found = config ? config->view().find("eos_token_id") : std::nullopt;
  if (!found) return ids;
  constexpr std::int64_t largest_id = std::numeric_limits<std::int32_t>::max();
  // Old configurations write -1 for "none".
  const auto add = [&](const format::JsonView& id) {
    if (const std::int64_t value = id.integer(-1, largest_id); value >= 0) ids.push_back(value);
  };
  if (!found->is_array()) {
    add(*found);
  } else {
    for (std::size_t i = 0; i < found->array_size(); ++i) add(found->item(i));
  }
  return ids;
}

// What the small files beside a tokenizer say about the ends of a text.
struct TextEnds {
  BeginOfText begin;
  EndOfText end;
};
TextEnds read_text_ends(const fs::path& folder) {
  TextEnds out;
  out.end.generation_ids = read_end_ids(folder / "generation_config.json");
  out.end.ids = read_end_ids(folder / "config.json");
  for (const char* name : {"tokenizer_config.json", "special_tokens_map.json"}) {
    const auto config = open_if_there(folder / name);
    if (!config) continue;
    if (!out.end.token) out.end.token = token_member(config->view(), "eos_token");
    if (!out.begin.token) out.begin.token = token_member(config->view(), "bos_token");
    if (const auto adds = config->view().find("add_bos_token")) out.begin.is_added = adds->boolean();
  }
  return out;
}

// Tokenizers of which BERT's vocab.txt is all there is.
void require_bert_like(const format::JsonView& config) {
  const auto name = config.find("tokenizer_class");
  if (!name) return;
  std::string known;
  for (const std::string_view kind :
       {"Bert", "DistilBert", "Electra", "MobileBert", "ConvBert", "SqueezeBert"}) {
    const std::string full = std::string(kind) + "Tokenizer";
    if (name->string() == full || name->string() == full + "Fast") return;
    known += (known.empty() ? "" : ", ") + full;
  }
  name->fail("a vocab.txt of the class " + format::quote(name->string()) + " is not supported",
             "supported: " + known);
}

BertOptions read_bert_options(const format::JsonView& config) {
  require_bert_like(config);
  if (const auto basic = config.find("do_basic_tokenize"); basic && !basic->boolean())
    basic->fail("WordPiece without BERT's text preparation is not supported; expected true");
  BertOptions options;
  BertNormalizerOptions& normalizer = options.normalizer;
  for (const auto& [key, target] : {std::pair{"do_lower_case", &normalizer.lowercase},
                                    std::pair{"tokenize_chinese_chars", &normalizer.handle_chinese_chars}})
    if (const auto member = config.find(key)) *target = member->boolean();
  if (const auto strip = config.find("strip_accents")) normalizer.strip_accents = strip->boolean();
  for (const auto& [key, target] :
       {std::pair{"unk_token", &options.unknown}, std::pair{"cls_token", &options.cls},
        std::pair{"sep_token", &options.sep}, std::pair{"pad_token", &options.pad},
        std::pair{"mask_token", &options.mask}})
    if (auto token = token_member(config, key)) *target = std::move(*token);
  return options;
}

std::unique_ptr<Tokenizer> load_vocab_merges(const fs::path& folder) {
  const bool has_vocab = fs::exists(folder / "vocab.json");
  TWISTOR_CHECK(has_vocab && fs::exists(folder / "merges.txt"), ErrorKind::data,
                "reading the tokenizer in " + folder.string(),
                fmt::format("{} is there but {} is missing", has_vocab ? "vocab.json" : "merges.txt",
                            has_vocab ? "merges.txt" : "vocab.json"),
                "byte-level BPE needs both files, or a tokenizer.json");
  VocabularyOptions options;
  const TextEnds ends = read_text_ends(folder);
  options.begin = ends.begin;
  options.end = ends.end;
  if (const auto config = open_if_there(folder / "tokenizer_config.json"))
    if (const auto add = config->view().find("add_prefix_space")) options.add_prefix_space = add->boolean();
  const MappedFile vocab(folder / "vocab.json");
  const MappedFile merges(folder / "merges.txt");
  return parse_vocab_merges(as_text(vocab), as_text(merges), (folder / "vocab.json").string(), options);
}

std::unique_ptr<Tokenizer> load_vocab_txt(const fs::path& folder) {
  VocabularyOptions options;
  const TextEnds ends = read_text_ends(folder);
  options.begin = ends.begin;
  options.end = ends.end;
  if (const auto config = open_if_there(folder / "tokenizer_config.json"))
    options.bert = read_bert_options(config->view());
  const MappedFile vocab(folder / "vocab.txt");
  return parse_vocab_txt(as_text(vocab), (folder / "vocab.txt").string(), options);
}

SentencePieceOptions read_spm_options(const format::JsonView& config) {
  if (const auto name = config.find("tokenizer_class");
      name && name->string() != "DebertaV2Tokenizer" && name->string() != "DebertaV2TokenizerFast")
    name->fail("an spm.model of the class " + format::quote(name->string()) + " is not supported",
               "supported: DebertaV2Tokenizer, DebertaV2TokenizerFast");
  SentencePieceOptions options;
  for (const auto& [key, target] : {std::pair{"do_lower_case", &options.lowercase},
                                    std::pair{"split_by_punct", &options.splits_at_punctuation}})
    if (const auto member = config.find(key)) *target = member->boolean();
  for (const auto& [key, target] :
       {std::pair{"cls_token", &options.cls}, std::pair{"sep_token", &options.sep},
        std::pair{"mask_token", &options.mask}})
    if (auto token = token_member(config, key)) *target = std::move(*token);
  return options;
}

std::unique_ptr<Tokenizer> load_spm_model(const fs::path& folder) {
  SentencePieceOptions options;
  if (const auto config = open_if_there(folder / "tokenizer_config.json"))
    options = read_spm_options(config->view());
  const TextEnds ends = read_text_ends(folder);
  options.begin = ends.begin;
  options.end = ends.end;
  const MappedFile file(folder / "spm.model");
  return parse_spm_model(as_text(file), (folder / "spm.model").string(), options);
}

std::unique_ptr<Tokenizer> load_from_folder(const fs::path& folder) {
  if (const fs::path path = folder / "tokenizer.json"; fs::exists(path)) {
    const MappedFile file(path);
    const TextEnds ends = read_text_ends(folder);
    return parse_tokenizer_json(as_text(file), path.string(), ends.end, ends.begin);
  }
  if (fs::exists(folder / "vocab.json") || fs::exists(folder / "merges.txt"))
    return load_vocab_merges(folder);
  if (fs::exists(folder / "vocab.txt")) return load_vocab_txt(folder);
  return fs::exists(folder / "spm.model") ? load_spm_model(folder) : nullptr;
}

}  // namespace

Encoding Tokenizer::encode_pair(std::string_view /*first*/, std::string_view /*second*/,
                                std::int64_t /*max_tokens*/) const {
  throw Error(ErrorKind::usage, "encoding a pair of texts", "the tokenizer's files have no form for pairs",
              "the post_processor of tokenizer.json has one where the model reads pairs");
}

std::optional<std::string> token_member(const format::JsonView& root, std::string_view key) {
  const auto member = root.find(key);
  if (!member) return std::nullopt;
  return member->is_object() ? member->at("content").string() : member->string();
}

std::unique_ptr<Tokenizer> load_tokenizer(const fs::path& model) {
  const std::string doing = "looking for the tokenizer of " + model.string();
  std::error_code problem;
  const fs::file_status status = fs::status(model, problem);
  TWISTOR_CHECK(fs::exists(status), ErrorKind::no_input, doing, "there is no such file or folder",
                "check the path");
  if (fs::is_directory(status)) return load_from_folder(format::find_model_folder(model));
  TWISTOR_CHECK(model.extension() == ".gguf", ErrorKind::data, doing,
                "expected a folder or a .gguf file, got a file of another kind",
                "give the folder that holds tokenizer.json");
  return tokenizer_of_gguf(format::open_gguf_header(model));
}

std::unique_ptr<Tokenizer> need_tokenizer(const fs::path& model, const std::string& doing) {
  std::unique_ptr<Tokenizer> found = load_tokenizer(model);
  TWISTOR_CHECK(found != nullptr, ErrorKind::no_input, doing, "the folder has no tokenizer",
                "expected tokenizer.json, vocab.json with merges.txt, vocab.txt or spm.model beside the "
                "model; token ids (--ids 1,2,3, prompt.ids) need none");
  return found;
}

}  // namespace twistor::text
