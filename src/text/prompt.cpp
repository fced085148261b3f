// SPDX-License-Identifier: Apache-2.0
// Reading a prompt, and finding words in it that the tokenizer does not know.
#include "twistor/text/prompt.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "twistor/base/error.hpp"
#include "twistor/format/quote.hpp"
#include "twistor/text/chat_template.hpp"

namespace twistor::text {
namespace {

// Tokenizers name the token that stands for what they do not know by convention.
struct UnknownToken {
  std::string_view name;
  std::int64_t id;
};
std::optional<UnknownToken> unknown_token(const Tokenizer& tokenizer) {
  for (const std::string_view name : {"<unk>", "[UNK]", "<|unk|>", "<UNK>"})
    if (const auto id = tokenizer.token_to_id(name)) return UnknownToken{name, *id};
  return std::nullopt;
}

// The words, cut at blanks, that are not known: ", for instance 'x', 'y'"; empty if they cannot be told.
std::string unknown_words(std::string_view text, const Tokenizer& tokenizer, std::int64_t unknown_id) {
  constexpr std::string_view blanks = " \t\r\n";
  constexpr int most_words = 5;
  std::string out;
  for (int n = 0; n < most_words && !text.empty();) {
    text.remove_prefix(std::min(text.find_first_not_of(blanks), text.size()));
    const std::string_view word = text.substr(0, text.find_first_of(blanks));
    text.remove_prefix(word.size());
    if (word.empty() || std::ranges::count(tokenizer.encode(word), unknown_id) == 0) continue;
    out += fmt::format("{}{}", out.empty() ? ", for " : ", ", format::quote(word));
    ++n;
  }
  return out;
}

/// "3,7,11": the first ones of a long list.
std::string shown(std::span<const std::int64_t> ids) {
  constexpr std::size_t most = 16;
  return fmt::format("{}{}", fmt::join(ids.first(std::min(most, ids.size())), ","),
                     ids.size() > most ? ",..." : "");
}

}  // namespace

void validate(const PromptSource& source, const std::string& doing) {
  std::string given;
  const auto count = [&](bool is_given, const char* name) {
    if (is_given) given += fmt::format("{}prompt.{}", given.empty() ? "" : " and ", name);
  };
  count(!source.text.empty(), "text");
  count(!source.ids.empty(), "ids");
  count(!source.messages.empty(), "messages");
  count(!source.file.empty(), "file");
  TWISTOR_CHECK(
      !given.empty() && given.find(" and ") == std::string::npos, ErrorKind::config, doing,
      fmt::format("expected exactly one of prompt.text, prompt.ids, prompt.messages and prompt.file, got {}",
                  given.empty() ? "none" : given),
      "an empty value counts as not given: --prompt.text= --prompt.ids=1,2");
  TWISTOR_CHECK(source.template_arguments.empty() || !source.messages.empty() || !source.file.empty(),
                ErrorKind::config, doing, "prompt.template_arguments is set, which only messages read",
                "leave it empty, or give messages");
}

Prompt read_prompt(const PromptSource& source, const Tokenizer* tokenizer, std::int64_t vocab_size,
                   const std::filesystem::path& model) {
  return PromptReader(tokenizer, vocab_size, model).read(source);
}

PromptReader::PromptReader(const Tokenizer* tokenizer, std::int64_t vocab_size, std::filesystem::path model)
    : tokenizer_(tokenizer), vocab_size_(vocab_size), model_(std::move(model)) {}

PromptReader::~PromptReader() = default;

Prompt PromptReader::read(const PromptSource& source) {
  const bool has_messages = !source.messages.empty();
  // Templates write what stands in front of a text themselves.
  const FrontTokens front = has_messages ? FrontTokens::none : source.special_tokens;
  Prompt prompt{.ids = source.ids, .front = {}, .rule = {}, .text = source.text, .chat_template = {}};
  if (prompt.ids.empty()) {
    TWISTOR_CHECK(tokenizer_ != nullptr, ErrorKind::config,
                  has_messages ? "reading prompt.messages" : "reading prompt.text",
                  "the model has no tokenizer", "give prompt.ids instead");
    if (has_messages) {
      if (chat_ == nullptr) chat_ = std::make_unique<const ChatTemplate>(load_chat_template(model_));
      prompt.text = chat_->render(source.messages, source.template_arguments);
      prompt.chat_template = chat_->where();
    }
    prompt.ids = encode_text(*tokenizer_, prompt.text, front);
    if (front != FrontTokens::none && has_front(*tokenizer_, prompt.ids)) {
      prompt.front = tokenizer_->special_tokens().before;
      prompt.rule = tokenizer_->special_tokens().rule;
    }
  }
  TWISTOR_CHECK(!prompt.ids.empty(), ErrorKind::config, "reading the prompt", "it has no tokens",
                "give a longer prompt.text");
  for (const std::int64_t id : prompt.ids)
    TWISTOR_CHECK(id >= 0 && id < vocab_size_, ErrorKind::config, "reading the prompt",
                  fmt::format("token id {} is out of range (vocabulary {})", id, vocab_size_),
                  "correct prompt.ids");
  return prompt;
}

void require_room(const Prompt& prompt, std::int64_t length, std::int64_t context_length) {
  const auto n = static_cast<std::int64_t>(prompt.ids.size());
  TWISTOR_CHECK(n <= context_length - length, ErrorKind::config, "checking the configuration",
                fmt::format("the prompt's {} tokens and target.length = {} exceed the model's context of {}",
                            n, length, context_length),
                "shorten the prompt or target.length; a model with LongRoPE has more room by model.context");
}

std::string describe(const Prompt& prompt, const Tokenizer* tokenizer) {
  const std::size_t n_front = prompt.front.size();
  const std::string front =
      n_front == 0 ? ""
                   : fmt::format(", the first {} {}", n_front == 1 ? "is" : fmt::format("{} are", n_front),
                                 describe_front(*tokenizer));
  const std::string chat =
      prompt.chat_template.empty()
          ? ""
          : fmt::format(" of {}, rendered by the {}", format::quote(prompt.text), prompt.chat_template);
  return fmt::format("{} tokens{}{} ({})", prompt.ids.size(), front, chat, shown(prompt.ids));
}

std::string unknown_token_warning(std::string_view text, std::span<const std::int64_t> ids,
                                  const Tokenizer* tokenizer) {
  const auto unknown = tokenizer == nullptr ? std::nullopt : unknown_token(*tokenizer);
  const auto n = unknown ? std::ranges::count(ids, unknown->id) : 0;
  if (n == 0) return {};
  return fmt::format(
      "{} of the prompt's {} tokens {} the unknown token {} (id {}){}: the model cannot see what "
      "stands there; use words of its vocabulary, or another model",
      n, ids.size(), n == 1 ? "is" : "are", unknown->name, unknown->id,
      unknown_words(text, *tokenizer, unknown->id));
}

}  // namespace twistor::text
