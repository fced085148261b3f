// SPDX-License-Identifier: Apache-2.0
// Tokenizers whose files are vocabularies alone: vocab.json + merges.txt (GPT-2, RoBERTa) and vocab.txt
// (BERT).
#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <utility>

#include "twistor/base/error.hpp"
#include "twistor/format/quote.hpp"
#include "twistor/text/tokenizer_formats.hpp"

namespace twistor::text {
namespace {

// Lines without their ends, of either kind; no line follows the last end.
std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t stop = std::min(text.find('\n', at), text.size());
    lines.push_back(text.substr(at, stop - at));
    if (lines.back().ends_with('\r')) lines.back().remove_suffix(1);
    at = stop + 1;
  }
  return lines;
}

std::vector<std::string_view> read_merges(std::string_view merges_txt) {
  std::vector<std::string_view> merges = lines_of(merges_txt);
  if (!merges.empty() && merges.front().starts_with("#version")) merges.erase(merges.begin());
  std::erase_if(merges, [](std::string_view line) { return line.empty(); });
  return merges;
}

// RoBERTa and its kin are told from GPT-2 by the tokens that they put around a text.
TextTemplate template_of(const Vocabulary& vocabulary) {
  TextTemplate out;
  const auto begin = vocabulary.find("<s>");
  const auto end = vocabulary.find("</s>");
  if (begin && end) {
    out = roberta_template(*begin, *end);
    out.rule = "the tokens <s> and </s> of vocab.json";
  }
  return out;
}

std::int64_t required_id(const Vocabulary& vocabulary, const std::string& token, const std::string& doing) {
  const auto id = vocabulary.find(token);
  TWISTOR_CHECK(id, ErrorKind::data, doing,
                fmt::format("the special token {} is not in the vocabulary of {} tokens",
                            format::quote(token), vocabulary.size()),
                "is this BERT's vocabulary? Special tokens of other names belong in tokenizer_config.json");
  return *id;
}

}  // namespace

std::unique_ptr<Tokenizer> parse_vocab_merges(std::string_view vocab_json, std::string_view merges_txt,
                                              const std::string& name, const VocabularyOptions& options) {
  const std::string doing = "reading tokenizer " + name;
  const nlohmann::json document = format::parse_json(vocab_json, doing);
  Vocabulary vocabulary = Vocabulary::from_json(format::JsonView(document, doing));
  std::vector<AddedToken> added;
  for (const std::string_view token : {"<|endoftext|>", "<s>", "</s>", "<pad>", "<unk>", "<mask>"})
    if (const auto id = vocabulary.find(token))
      added.push_back(
          {.content = std::string(token), .id = *id, .is_special = true, .lstrip = token == "<mask>"});
  TokenizerParts parts;
  parts.special = template_of(vocabulary);
  parts.model = make_byte_bpe(std::move(vocabulary), read_merges(merges_txt), doing);
  parts.pre_tokenizer = PreTokenizer::gpt2(options.add_prefix_space);
  (void)parts.pre_tokenizer.release_byte_symbols();
  parts.added = AddedTokens(std::move(added));
  parts.begin = options.begin;
  parts.end = options.end;
  parts.decoder = byte_level_decoder();
  parts.source = "vocab.json + merges.txt";
  return make_tokenizer(std::move(parts), doing);
}

std::unique_ptr<Tokenizer> parse_vocab_txt(std::string_view vocab_txt, const std::string& name,
                                           const VocabularyOptions& options) {
  const std::string doing = "reading tokenizer " + name;
  Vocabulary vocabulary;
  for (const std::string_view line : lines_of(vocab_txt)) {
    const std::int64_t id = vocabulary.size();
    const auto known = vocabulary.find(line);
    TWISTOR_CHECK(
        vocabulary.add(line, id), ErrorKind::data, doing,
        fmt::format("line {}: the token {} is also on line {}", id + 1, format::quote(line), *known + 1),
        "every token needs its own id");
  }
  TokenizerParts parts = make_bert_parts(std::move(vocabulary), options.bert, doing);
  parts.end = options.end;
  parts.source = "vocab.txt";
  return make_tokenizer(std::move(parts), doing);
}

TokenizerParts make_bert_parts(Vocabulary vocabulary, const BertOptions& options, const std::string& doing) {
  TokenizerParts parts;
  const std::int64_t cls = required_id(vocabulary, options.cls, doing);
  parts.special = bert_template(cls, required_id(vocabulary, options.sep, doing));
  parts.special.rule = "the form of BERT's texts";
  std::vector<AddedToken> added;
  for (const std::string& token : {options.unknown, options.sep, options.pad, options.cls, options.mask})
    if (const auto id = vocabulary.find(token))
      added.push_back({.content = token, .id = *id, .is_special = true});
  parts.added = AddedTokens(std::move(added));
  parts.normalizer = bert_normalizer(options.normalizer);
  parts.pre_tokenizer = PreTokenizer::from_text(R"({"type": "BertPreTokenizer"})");
  const WordPieceOptions pieces{.unknown_token = options.unknown};
  parts.decoder = word_piece_decoder(pieces.continuing_subword_prefix, true);
  parts.model = make_word_piece(std::move(vocabulary), pieces);
  return parts;
}

}  // namespace twistor::text
