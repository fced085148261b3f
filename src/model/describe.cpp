// SPDX-License-Identifier: Apache-2.0
// Describing models.
#include "twistor/model/describe.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>
#include <fstream>
#include <string_view>
#include <vector>

#include "twistor/format/quote.hpp"
#include "twistor/model/load.hpp"
#include "twistor/model/masked_tokens.hpp"
#include "twistor/text/chat_template.hpp"
#include "twistor/text/front.hpp"
#include "twistor/text/tokenizer.hpp"

namespace twistor::model {
namespace {

std::string describe_ends(const text::Tokenizer& tokenizer) {
  std::string out = fmt::format("in front of a text: {}\n", text::describe_front(tokenizer));
  std::vector<std::string> ends;
  for (const std::int64_t id : tokenizer.end_ids())
    ends.push_back(fmt::format(
        "{} (id {})", tokenizer.has_token(id) ? format::quote(tokenizer.decode({&id, 1})) : "no token", id));
  if (ends.empty()) ends.emplace_back("the files name none");
  return out + fmt::format("ends of a text: {}\n", fmt::join(ends, ", "));
}

}  // namespace

bool is_gguf(const std::filesystem::path& file) {
  std::array<char, 4> magic{};
  std::ifstream(file, std::ios::binary).read(magic.data(), magic.size());
  return std::string_view(magic.data(), magic.size()) == "GGUF";
}

std::string describe_model(const std::filesystem::path& path) {
  const auto lm = load_language_model(path);
  const auto tokenizer = text::load_tokenizer(path);
  std::string out = fmt::format("language model: {}\n", lm->description());
  out += fmt::format("vocabulary: {} tokens\nhidden size: {}\n", lm->vocab_size(), lm->hidden_size());
  out += fmt::format("context: at most {} tokens\n", lm->context_length());
  out += fmt::format("tokenizer: {}\n",
                     tokenizer ? tokenizer->description() : "none; give prompts as token ids");
  if (tokenizer) out += describe_ends(*tokenizer);
  out += text::describe_chat_template(path);
  const auto padded = tokenizer ? padded_tokens(*lm, *tokenizer) : std::vector<TokenRange>{};
  if (!padded.empty())
    out +=
        fmt::format("padded vocabulary: {} stand for no token; model.padded_tokens = mask leaves them out\n",
                    describe(padded));
  return out + fmt::format("model sha256: {}\n", lm->fingerprint());
}

}  // namespace twistor::model
