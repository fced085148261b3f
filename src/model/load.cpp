// SPDX-License-Identifier: Apache-2.0
// From a path to a language model: which format, which family.
#include "twistor/model/load.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "families/families.hpp"
#include "twistor/base/digest.hpp"
#include "twistor/base/error.hpp"
#include "twistor/base/mapped_file.hpp"
#include "twistor/format/gguf_parts.hpp"
#include "twistor/format/model_folder.hpp"
#include "twistor/format/quote.hpp"
#include "weights/adapter_file.hpp"

namespace twistor::model {
namespace {

constexpr std::array known_families{
    Family{"Gemma 2", "gemma2", "", &gemma2_from_config, nullptr},
    Family{"Gemma 3", "gemma3_text", "gemma3", &gemma3_from_config, &gemma3_from_gguf},
    Family{"GPT-2", "gpt2", "gpt2", &gpt2_from_config, &gpt2_from_gguf},
    Family{"GPT-Neo", "gpt_neo", "", &gpt_neo_from_config, nullptr},
    Family{"GPT-NeoX", "gpt_neox", "gptneox", &gpt_neox_from_config, &gpt_neox_from_gguf},
    Family{"Granite", "granite", "granite", &granite_from_config, &granite_from_gguf},
    Family{"Llama", "llama", "llama", &llama_from_config, &llama_from_gguf},
    Family{"Mistral", "mistral", "", &mistral_from_config, nullptr},
    Family{"OLMo 2", "olmo2", "olmo2", &olmo2_from_config, &olmo2_from_gguf},
    Family{"Phi-3", "phi3", "phi3", &phi3_from_config, &phi3_from_gguf},
    Family{"Qwen2", "qwen2", "qwen2", &qwen2_from_config, &qwen2_from_gguf},
    Family{"Qwen3", "qwen3", "qwen3", &qwen3_from_config, &qwen3_from_gguf},
    Family{"SmolLM3", "smollm3", "smollm3", &smollm3_from_config, &smollm3_from_gguf},
};

std::string known_names(std::string_view Family::*member) {
  std::string out;
  for (const Family& family : families())
    if (!(family.*member).empty()) out += (out.empty() ? "" : ", ") + std::string(family.*member);
  return out;
}

std::string_view as_text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// Keys that change any family's outputs and are honoured by none.
void refuse_foreign_keys(const format::JsonView& config) {
  for (const char* key : {"quantization_config", "compression_config"})
    if (const auto found = config.find(key))
      found->fail("weights quantised in this way are not supported",
                  "take the unquantised model, or a GGUF file of it");
  for (const char* key : {"add_cross_attention", "is_encoder_decoder", "tie_encoder_decoder"})
    if (const auto found = config.find(key); found && found->boolean())
      found->fail("the model is not a decoder alone");
}

DecoderSource open_folder(const std::filesystem::path& folder, bool is_headless = false) {
  const std::filesystem::path config_path = folder / "config.json";
  const MappedFile config_file(config_path);
  const std::string doing = "reading " + config_path.string();
  nlohmann::json document = format::parse_json(as_text(config_file.bytes()), doing);
  // Nobody misses the output matrix of a model that is said to have none of its own.
  if (is_headless && document.is_object()) document["tie_word_embeddings"] = true;
  DecoderSource source = read_config(format::JsonView(document, doing), format::open_safetensors(folder));
  source.fingerprint = fingerprint_of(*source.file, as_text(config_file.bytes()));
  return source;
}

DecoderSource open_gguf(const std::filesystem::path& path) {
  const format::GgufFile gguf = format::open_gguf_header(path);
  DecoderSource source = read_gguf(gguf, format::open_gguf_weights(path));
  source.fingerprint = fingerprint_of(*source.file, gguf.string("general.architecture"));
  return source;
}

}  // namespace

std::span<const Family> families() {
  return known_families;
}

DecoderSource read_config(const format::JsonView& config, WeightFilePtr file) {
  const std::string& type = config.at("model_type").string();
  refuse_foreign_keys(config);
  for (const Family& family : families())
    if (family.model_type == type && family.from_config != nullptr)
      return family.from_config(config, std::move(file));
  config.at("model_type")
      .fail("the model family " + format::quote(type) + " is not supported",
            "supported: " + known_names(&Family::model_type));
}

DecoderSource read_gguf(const format::GgufFile& gguf, WeightFilePtr file) {
  const std::string architecture(gguf.string("general.architecture"));
  for (const Family& family : families())
    if (family.gguf_architecture == architecture && family.from_gguf != nullptr)
      return family.from_gguf(gguf, std::move(file));
  throw Error(ErrorKind::data, "reading " + gguf.name(),
              "the model family " + format::quote(architecture) + " is not supported",
              "supported in GGUF: " + known_names(&Family::gguf_architecture));
}

std::string fingerprint_of(const format::WeightFile& file, std::string_view header) {
  Sha256 digest;
  digest.add(header);
  for (const format::TensorInfo& tensor : file.tensors()) {
    digest.add(tensor.name);
    digest.add(std::as_bytes(std::span(tensor.shape)));
    constexpr std::size_t piece = 4096, pieces = 16;
    const std::size_t stride = std::max(piece, tensor.bytes.size() / pieces);
    for (std::size_t at = 0; at < tensor.bytes.size(); at += stride)
      digest.add(tensor.bytes.subspan(at, std::min(piece, tensor.bytes.size() - at)));
  }
  return digest.finish_hex();
}

DecoderSource open_decoder(const std::filesystem::path& path) {
  std::error_code ignored;
  TWISTOR_CHECK(std::filesystem::exists(path, ignored), ErrorKind::no_input,
                "opening the model " + path.string(), "there is no such file or folder",
                "give model.path a Hugging Face folder or a .gguf file; launch/get_model.sh fetches one");
  return std::filesystem::is_directory(path) ? open_folder(format::find_model_folder(path)) : open_gguf(path);
}

void set_context(DecoderSource& source, std::int64_t context) {
  DecoderTraits& t = source.traits;
  if (context == 0) return;
  TWISTOR_CHECK(context <= std::max(t.context, t.long_context), ErrorKind::config,
                fmt::format("making room for texts of {} tokens", context),
                fmt::format("the positions of {} hold {}", source.file->path().string(),
                            std::max(t.context, t.long_context)),
                "texts must be shorter; model.context = 0 makes no more room than they need");
  if (context > t.context) {
    t.rotaries.front() = *t.long_rotary;
    source.fingerprint += ":long";  // other positions, other outputs
  }
  t.context = context;
}

DecoderSource open_body(const std::filesystem::path& folder) {
  DecoderSource source = open_folder(format::find_model_folder(folder), true);
  source.is_headless = true;
  return source;
}

std::unique_ptr<LanguageModel> load_language_model(const std::filesystem::path& path,
                                                   const LoadOptions& options) {
  DecoderSource source = open_decoder(path);
  set_context(source, options.context);
  std::optional<MergedAdapter> merged;
  if (!options.adapter.empty()) merged.emplace(source, options.adapter, options.memory.is_writer);
  if (options.is_precision_told) source.fingerprint += fmt::format(":{}", name_of(options.precision));
  return make_decoder(std::move(source), options);
}

}  // namespace twistor::model
