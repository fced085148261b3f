// SPDX-License-Identifier: Apache-2.0
// The formats a tokenizer comes in, parsed from memory; load_tokenizer() in tokenizer.hpp finds and maps the
// files.
#pragma once

#include <cstdint>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "twistor/format/gguf_file.hpp"
#include "twistor/format/json.hpp"
#include "twistor/text/added_tokens.hpp"
#include "twistor/text/decoder.hpp"
#include "twistor/text/normalizer.hpp"
#include "twistor/text/post_processor.hpp"
#include "twistor/text/pre_tokenizer.hpp"
#include "twistor/text/token_model.hpp"
#include "twistor/text/tokenizer.hpp"

namespace twistor::text {

/// What the files beside a tokenizer say about the tokens that end a text. The first that says anything
/// counts, in this order; a token that the vocabulary does not have says nothing.
struct EndOfText {
  std::vector<std::int64_t> generation_ids;  ///< eos_token_id of generation_config.json, a number or a list
  std::optional<std::string> token;          ///< eos_token of tokenizer_config.json
  std::vector<std::int64_t> ids;             ///< eos_token_id of config.json; what a GGUF file names
};

/// What tokenizer_config.json says about the token in front of a text: it overrides the template.
struct BeginOfText {
  std::optional<std::string> token;  ///< bos_token
  std::optional<bool> is_added;      ///< add_bos_token
};

/// A member of tokenizer_config.json that names a token, as a string or as an object with "content".
[[nodiscard]] std::optional<std::string> token_member(const format::JsonView& root, std::string_view key);

/// A tokenizer as a pipeline. Encoding: added tokens are cut out of the raw text, the rest is normalized,
/// further added tokens are cut out of that, the rest is pre-tokenized, each piece goes through the model; a
/// template may be put around the whole. Decoding: the spellings of tokens go through the decoder.
struct TokenizerParts {
  AddedTokens added;
  Normalizer normalizer;
  PreTokenizer pre_tokenizer;
  std::unique_ptr<TokenModel> model;
  TextTemplate special;
  Decoder decoder = spacing_decoder();
  BeginOfText begin;
  EndOfText end;
  std::string source;  ///< for description(): "tokenizer.json"
};
/// Throws Error(data) if the template has an id that no token has; `doing` is for that message.
[[nodiscard]] std::unique_ptr<Tokenizer> make_tokenizer(TokenizerParts parts, const std::string& doing);

/// tokenizer.json of the Hugging Face "tokenizers" format. Truncation and padding are ignored. `name` is for
/// messages. Throws Error(data); what is not supported is refused by name.
[[nodiscard]] std::unique_ptr<Tokenizer> parse_tokenizer_json(std::string_view json, const std::string& name,
                                                              const EndOfText& end = {},
                                                              const BeginOfText& begin = {});

/// The same of a document that is in memory; `source` is for description(), `doing` for messages.
[[nodiscard]] std::unique_ptr<Tokenizer> tokenizer_of_json(const nlohmann::json& document,
                                                           const std::string& doing, std::string source,
                                                           const EndOfText& end, const BeginOfText& begin);

/// What tokenizer_config.json says beside DeBERTa's spm.model.
struct SentencePieceOptions {
  EndOfText end;
  BeginOfText begin;
  bool lowercase = false, splits_at_punctuation = false;
  std::string cls = "[CLS]", sep = "[SEP]", mask = "[MASK]";
};

/// spm.model of DeBERTa-v2 and v3, a unigram model of SentencePiece, with the template [CLS] x [SEP]; `mask`
/// comes after its pieces where it is none of them. Throws Error(data).
[[nodiscard]] std::unique_ptr<Tokenizer> parse_spm_model(std::string_view bytes, const std::string& name,
                                                         const SentencePieceOptions& options = {});

/// What is special about a vocabulary of BERT.
struct BertOptions {
  BertNormalizerOptions normalizer;
  std::string unknown = "[UNK]", cls = "[CLS]", sep = "[SEP]", pad = "[PAD]", mask = "[MASK]";
};

/// What the files beside a bare vocabulary say.
struct VocabularyOptions {
  EndOfText end;
  BeginOfText begin;
  bool add_prefix_space = false;  ///< byte-level BPE: a text begins with a space, whether it has one or not
  BertOptions bert;
};

/// vocab.json and merges.txt with GPT-2's pre-tokenizer; <s> x </s> is the template where the vocabulary has
/// both (RoBERTa). Throws Error(data).
[[nodiscard]] std::unique_ptr<Tokenizer> parse_vocab_merges(std::string_view vocab_json,
                                                            std::string_view merges_txt,
                                                            const std::string& name,
                                                            const VocabularyOptions& options = {});

/// vocab.txt of BERT, a token a line, with the template [CLS] x [SEP]. Throws Error(data).
[[nodiscard]] std::unique_ptr<Tokenizer> parse_vocab_txt(std::string_view vocab_txt, const std::string& name,
                                                         const VocabularyOptions& options = {});

/// Everything but `end` and `source`. Pieces that continue a word are spelled with "##". Throws Error(data)
/// if a token of the template is not in the vocabulary.
[[nodiscard]] TokenizerParts make_bert_parts(Vocabulary vocabulary, const BertOptions& options,
                                             const std::string& doing);

/// The keys tokenizer.ggml.* of a GGUF file; nullptr if it has none. Throws Error(data).
[[nodiscard]] std::unique_ptr<Tokenizer> tokenizer_of_gguf(const format::GgufFile& file);

}  // namespace twistor::text
