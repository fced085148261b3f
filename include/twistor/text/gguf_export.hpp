// SPDX-License-Identifier: Apache-2.0
// The tokenizer of a GGUF file as the files of a folder in Hugging Face's layout.
#pragma once

#include <map>
#include <string>

#include "twistor/format/gguf_file.hpp"

namespace twistor::text {

/// Contents by name: tokenizer.json and tokenizer_config.json of a byte-level BPE, generation_config.json
/// with the tokens that end a text, chat_template.jinja where the file has a template; nothing where it has
/// no tokenizer. load_tokenizer() of them gives the ids of tokenizer_of_gguf(). *Local.* Throws Error(config)
/// naming another kind of tokenizer, and Error(data) as tokenizer_of_gguf().
[[nodiscard]] std::map<std::string, std::string> tokenizer_files_of_gguf(const format::GgufFile& file);

}  // namespace twistor::text
