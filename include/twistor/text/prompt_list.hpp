// SPDX-License-Identifier: Apache-2.0
// Many prompts, from a file of JSON Lines.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "twistor/text/prompt.hpp"

namespace twistor::text {

struct ListedPrompt {
  std::string id;           ///< as the file gives it; empty: it gives none
  std::int64_t length = 0;  ///< T of this prompt
  Prompt prompt;
  /// What the random numbers of work on it are keyed by: its id, or its place where it has none. So a prompt
  /// with an id gets the same numbers in every file that has it.
  std::uint64_t key = 0;
};

/// What every line of the file shares.
struct PromptListOptions {
  PromptSource common;              ///< template_arguments and special_tokens
  std::int64_t length = 1;          ///< T of lines that give none
  std::int64_t context_length = 0;  ///< most tokens of a prompt and what follows it
  const Tokenizer* tokenizer = nullptr;
  std::int64_t vocab_size = 0;
  std::filesystem::path model;
};

/// One object a line, with one of the members "prompt" (a text), "messages" (an array, for the model's chat
/// template) and "ids" (token ids), and perhaps "id" (a text or an integer, no two alike) and "length".
/// Lines without any character are skipped. *Local.* Throws Error(no_input) if the file cannot be read,
/// Error(data) that names file and line and says what to do.
[[nodiscard]] std::vector<ListedPrompt> read_prompt_list(const std::filesystem::path& file,
                                                         const PromptListOptions& options);

/// SHA-256 of ids, lengths and tokens, 64 hexadecimal digits. *Local.*
[[nodiscard]] std::string digest(std::span<const ListedPrompt> prompts);

/// "12 prompts of 3 to 25 tokens". *Local.*
[[nodiscard]] std::string describe(std::span<const ListedPrompt> prompts);

}  // namespace twistor::text
