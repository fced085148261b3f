// What the files of a language model are, in people's words.
#pragma once

#include <filesystem>
#include <string>

namespace twistor::model {

/// Whether a file is a model in GGUF, by its first bytes. *Local.*
[[nodiscard]] bool is_gguf(const std::filesystem::path& file);

/// Lines "name: value" on a model, its vocabulary, context and tokenizer. *Local.* Throws what
/// load_language_model() throws.
[[nodiscard]] std::string describe_model(const std::filesystem::path& path);

}  // namespace twistor::model
