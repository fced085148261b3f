// SPDX-License-Identifier: Apache-2.0
// From texts to the tokens that an encoder takes.
#include <fmt/format.h>

#include "twistor/base/digest.hpp"
#include "twistor/base/error.hpp"
#include "twistor/base/mapped_file.hpp"
#include "twistor/model/encoder.hpp"

namespace twistor::model {

std::unique_ptr<text::Tokenizer> load_encoder_tokenizer(const std::filesystem::path& folder,
                                                        const Encoder& encoder) {
  const std::string doing = "loading the tokenizer of " + folder.string();
  auto tokenizer = text::load_tokenizer(folder);
  TWISTOR_CHECK(
      tokenizer != nullptr, ErrorKind::no_input, doing, "there is none in the folder",
      "tokenizer.json, vocab.txt, vocab.json and merges.txt, or spm.model should lie beside config.json");
  TWISTOR_CHECK(tokenizer->vocab_size() <= encoder.vocab_size(), ErrorKind::data, doing,
                fmt::format("it has {} tokens, but the encoder's embedding has {}", tokenizer->vocab_size(),
                            encoder.vocab_size()),
                "tokenizer and weights are not of the same model");
  return tokenizer;
}

std::string tokenizer_fingerprint(const std::filesystem::path& folder) {
  Sha256 digest;
  for (const char* name :
       {"tokenizer.json", "tokenizer_config.json", "vocab.txt", "vocab.json", "merges.txt", "spm.model"}) {
    if (!std::filesystem::exists(folder / name)) continue;
    digest.add(name);
    digest.add(sha256_hex(MappedFile(folder / name).bytes()));
  }
  return digest.finish_hex();
}

TokenTexts tokenise(const text::Tokenizer& tokenizer, std::span<const std::string> texts,
                    std::int64_t max_tokens, bool adds_special) {
  TokenTexts out;
  for (const std::string& text : texts) {
    text::Encoding encoding;
    if (adds_special) {
      encoding = tokenizer.encode_with_template(text, max_tokens);
    } else {
      encoding.ids = tokenizer.encode(text);
      if (static_cast<std::int64_t>(encoding.ids.size()) > max_tokens)
        encoding.ids.resize(static_cast<std::size_t>(max_tokens));
      encoding.type_ids.resize(encoding.ids.size());
    }
    out.add(encoding.ids, encoding.type_ids);
  }
  return out;
}

TokenTexts tokenise_answers(const text::Tokenizer& tokenizer, const std::string& prompt,
                            std::span<const std::string> answers, std::int64_t max_tokens) {
  TokenTexts out;
  for (const std::string& answer : answers) {
    const text::Encoding encoding = tokenizer.encode_pair(prompt, answer, max_tokens);
    out.add(encoding.ids, encoding.type_ids);
  }
  return out;
}

}  // namespace twistor::model
