// The formats a tokenizer comes in, parsed from memory; load_tokenizer() in tokenizer.hpp finds and maps the
// files.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "twistor/format/gguf_file.hpp"
#include "twistor/text/added_tokens.hpp"
#include "twistor/text/decoder.hpp"
#include "twistor/text/normalizer.hpp"
#include "twistor/text/post_processor.hpp"
#include "twistor/text/pre_tokenizer.hpp"
#include "twistor/text/token_model.hpp"
#include "twistor/text/tokenizer.hpp"

namespace twistor::text {

/// What the files beside a tokenizer say about the end-of-text token; the token wins where the vocabulary has
/// it.
struct EndOfText {
  std::optional<std::string> token;  ///< tokenizer_config.json
  std::optional<std::int64_t> id;    ///< config.json
};

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
  EndOfText end;
  std::string source;  ///< for description(): "tokenizer.json"
};
/// Throws Error(data) if the template has an id that no token has; `doing` is for that message.
[[nodiscard]] std::unique_ptr<Tokenizer> make_tokenizer(TokenizerParts parts, const std::string& doing);

/// tokenizer.json of the Hugging Face "tokenizers" format. Truncation and padding are ignored. `name` is for
/// messages. Throws Error(data); what is not supported is refused by name.
[[nodiscard]] std::unique_ptr<Tokenizer> parse_tokenizer_json(std::string_view json, const std::string& name,
                                                              const EndOfText& end = {});

/// What is special about a vocabulary of BERT.
struct BertOptions {
  BertNormalizerOptions normalizer;
  std::string unknown = "[UNK]", cls = "[CLS]", sep = "[SEP]", pad = "[PAD]", mask = "[MASK]";
};

/// What the files beside a bare vocabulary say.
struct VocabularyOptions {
  EndOfText end;
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
