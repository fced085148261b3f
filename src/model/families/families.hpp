// SPDX-License-Identifier: Apache-2.0
// The families that the decoder knows; a new one is one file and one line in the table. Private to the model
// room.
#pragma once

#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "twistor/format/gguf_file.hpp"
#include "twistor/format/json.hpp"
#include "twistor/model/decoder.hpp"

namespace twistor::model {

using WeightFilePtr = std::shared_ptr<const format::WeightFile>;

/// How one family reads its files. Either function may be null where the format is not known for it.
struct Family {
  std::string_view name;
  std::string_view model_type;         ///< config.json: "model_type"
  std::string_view gguf_architecture;  ///< GGUF: "general.architecture"
  DecoderSource (*from_config)(const format::JsonView& config, WeightFilePtr file) = nullptr;
  DecoderSource (*from_gguf)(const format::GgufFile& gguf, WeightFilePtr file) = nullptr;
};

[[nodiscard]] std::span<const Family> families();

/// What the family that a parsed config.json or GGUF header names makes of it, without the fingerprint.
/// Throws Error(data), also on a family that is not known, with the list of those that are.
[[nodiscard]] DecoderSource read_config(const format::JsonView& config, WeightFilePtr file);
[[nodiscard]] DecoderSource read_gguf(const format::GgufFile& gguf, WeightFilePtr file);

DecoderSource gpt2_from_config(const format::JsonView& config, WeightFilePtr file);
DecoderSource gpt_neo_from_config(const format::JsonView& config, WeightFilePtr file);
DecoderSource llama_from_config(const format::JsonView& config, WeightFilePtr file);
DecoderSource mistral_from_config(const format::JsonView& config, WeightFilePtr file);
DecoderSource qwen2_from_config(const format::JsonView& config, WeightFilePtr file);
DecoderSource qwen3_from_config(const format::JsonView& config, WeightFilePtr file);
DecoderSource smollm3_from_config(const format::JsonView& config, WeightFilePtr file);
DecoderSource granite_from_config(const format::JsonView& config, WeightFilePtr file);
DecoderSource olmo2_from_config(const format::JsonView& config, WeightFilePtr file);
DecoderSource phi3_from_config(const format::JsonView& config, WeightFilePtr file);
DecoderSource gemma2_from_config(const format::JsonView& config, WeightFilePtr file);
DecoderSource gemma3_from_config(const format::JsonView& config, WeightFilePtr file);
DecoderSource gpt_neox_from_config(const format::JsonView& config, WeightFilePtr file);
DecoderSource llama_from_gguf(const format::GgufFile& gguf, WeightFilePtr file);
DecoderSource qwen2_from_gguf(const format::GgufFile& gguf, WeightFilePtr file);
DecoderSource qwen3_from_gguf(const format::GgufFile& gguf, WeightFilePtr file);
DecoderSource smollm3_from_gguf(const format::GgufFile& gguf, WeightFilePtr file);
DecoderSource granite_from_gguf(const format::GgufFile& gguf, WeightFilePtr file);
DecoderSource olmo2_from_gguf(const format::GgufFile& gguf, WeightFilePtr file);
DecoderSource phi3_from_gguf(const format::GgufFile& gguf, WeightFilePtr file);
DecoderSource gemma3_from_gguf(const format::GgufFile& gguf, WeightFilePtr file);
DecoderSource gpt2_from_gguf(const format::GgufFile& gguf, WeightFilePtr file);
DecoderSource gpt_neox_from_gguf(const format::GgufFile& gguf, WeightFilePtr file);

/// read_config() or read_gguf() of a folder or a .gguf file, with the fingerprint. Throws as
/// load_language_model() says.
[[nodiscard]] DecoderSource open_decoder(const std::filesystem::path& path);

/// LoadOptions::context: makes room for texts of so many tokens, or for no more than these; 0 leaves it as it
/// is. Throws Error(config) where the positions do not hold them.
void set_context(DecoderSource& source, std::int64_t context);

/// open_decoder() of a Hugging Face folder whose output matrix is another model's affair: it is headless,
/// whatever the file has of one.
[[nodiscard]] DecoderSource open_body(const std::filesystem::path& folder);

/// sha256 of `header` and of all tensors' names, shapes and sampled contents: large files are tied to
/// checkpoints without being read as a whole.
[[nodiscard]] std::string fingerprint_of(const format::WeightFile& file, std::string_view header);

}  // namespace twistor::model
