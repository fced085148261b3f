// SPDX-License-Identifier: Apache-2.0
// The tokens of a prompt, and what to say where the model cannot see what stands there.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "twistor/text/front.hpp"
#include "twistor/text/tokenizer.hpp"

namespace twistor::text {

class ChatTemplate;

/// What a prompt is given as.
struct PromptSource {
  std::string text{};
  std::vector<std::int64_t> ids{};
  std::string messages{};                               ///< JSON, as ChatTemplate::render() takes it
  std::string template_arguments{};                     ///< the same
  FrontTokens special_tokens = FrontTokens::automatic;  ///< of `text`; templates write their own
  std::string file{};                                   ///< of many prompts, see prompt_list.hpp
};

/// Throws Error(config) unless exactly one of text, ids, messages and file is given.
void validate(const PromptSource& source, const std::string& doing);

struct Prompt {
  std::vector<std::int64_t> ids;
  std::vector<std::int64_t> front;  ///< what they begin with by the tokenizer's rule
  std::string rule;                 ///< that rule; empty: none
  std::string text;                 ///< what they were made of; empty: they were given
  std::string chat_template;        ///< by which messages became the text; empty: there were none
};

/// `ids` if there are any, else the tokens of the text, which messages become by the chat template of
/// `model`. *Local.* The tokenizer may be null. Throws Error(config) if there are no tokens, if one is not
/// below vocab_size, or if there is no tokenizer or template where it is needed.
[[nodiscard]] Prompt read_prompt(const PromptSource& source, const Tokenizer* tokenizer,
                                 std::int64_t vocab_size, const std::filesystem::path& model);

/// The same for many prompts of one model, whose chat template is read once, when the first messages come.
/// References must outlive it.
class PromptReader {
 public:
  PromptReader(const Tokenizer* tokenizer, std::int64_t vocab_size, std::filesystem::path model);
  ~PromptReader();
  /// *Local.* Throws as read_prompt().
  [[nodiscard]] Prompt read(const PromptSource& source);

 private:
  const Tokenizer* tokenizer_;
  std::int64_t vocab_size_;
  std::filesystem::path model_;
  std::unique_ptr<const ChatTemplate> chat_;
};

/// Throws Error(config) unless the prompt and `length` tokens after it fit into the context. *Local.*
void require_room(const Prompt& prompt, std::int64_t length, std::int64_t context_length);

/// "3 tokens, the first is <s> (id 1), by ... (1,7,11)"; of a long prompt the first ids alone. *Local.*
[[nodiscard]] std::string describe(const Prompt& prompt, const Tokenizer* tokenizer);

/// What to warn of if a prompt holds the tokenizer's unknown token, which stands for words that the model
/// cannot see; else empty. `text` is what it was made of, if that is known. *Local.* The tokenizer may be
/// null.
[[nodiscard]] std::string unknown_token_warning(std::string_view text, std::span<const std::int64_t> ids,
                                                const Tokenizer* tokenizer);

}  // namespace twistor::text
