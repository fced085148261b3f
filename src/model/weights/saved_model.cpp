// SPDX-License-Identifier: Apache-2.0
// Folders in Hugging Face's layout: the files of the model that was learned from, with other weights.
#include "twistor/model/saved_model.hpp"

#include <fmt/format.h>

#include <array>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "body_tensors.hpp"
#include "twistor/base/atomic_file.hpp"
#include "twistor/base/descriptor.hpp"
#include "twistor/base/error.hpp"
#include "twistor/base/mapped_file.hpp"
#include "twistor/format/json_file.hpp"
#include "twistor/format/safetensors_writer.hpp"
#include "twistor/format/weight_formats.hpp"

namespace twistor::model {
namespace {

constexpr const char* writing_model = "writing the model that was learned";
/// What belongs to a model beside its configuration and weights.
constexpr std::array files_beside{"generation_config.json",
                                  "tokenizer.json",
                                  "tokenizer_config.json",
                                  "special_tokens_map.json",
                                  "added_tokens.json",
                                  "vocab.json",
                                  "merges.txt",
                                  "vocab.txt",
                                  "tokenizer.model",
                                  "spm.model",
                                  "chat_template.jinja"};

std::string text_of(const std::filesystem::path& path) {
  const MappedFile file(path);
  return {reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()};
}

/// The tensors of body.tensors(), in their order.
std::vector<const format::TensorInfo*> learned_tensors(const DecoderSource& source) {
  std::vector<const format::TensorInfo*> out;
  std::set<const format::TensorInfo*> seen;
  for_each_tensor(source, [&](const format::TensorInfo* tensor, TensorRole) {
    if (seen.insert(tensor).second) out.push_back(tensor);
  });
  return out;
}

std::string config_of(const std::filesystem::path& model, bool is_tied) {
  auto config = nlohmann::ordered_json::parse(text_of(model / "config.json"));
  if (is_tied) config["tie_word_embeddings"] = false;
  for (const char* key : {"torch_dtype", "dtype"})
    if (config.contains(key)) config[key] = "float32";
  return config.dump(2) + "\n";
}

/// Tensor after tensor: the whole file may be larger than what memory has room for twice.
void write_weights(const std::filesystem::path& path, std::span<const format::TensorValues> tensors) {
  std::vector<format::TensorShape> shapes;
  for (const format::TensorValues& t : tensors) shapes.push_back(t.tensor);
  AtomicFile file(path, writing_model);
  std::uint64_t at = 0;
  const auto append = [&](std::span<const std::byte> bytes) {
    if (const int code = write_fully(file.descriptor(), bytes, at); code != 0)
      throw_io_error(writing_model, path.string(), code);
    at += bytes.size();
  };
  const std::string header = format::safetensors_header(shapes, {{"format", "pt"}});
  append(std::as_bytes(std::span(header)));
  for (const format::TensorValues& t : tensors) append(std::as_bytes(t.values));
  file.publish();
}

}  // namespace

void write_model_folder(const std::filesystem::path& folder, const TrainableDecoder& body,
                        std::span<const std::span<const float>> values) {
  const AdapterBase base = body.adapter_base();
  TWISTOR_CHECK(!base.is_gguf, ErrorKind::config, writing_model,
                base.model + " is a GGUF file, whose matrices have other names and another order of rows",
                "give model.path the model's folder in Hugging Face's layout");
  const DecoderSource source = open_decoder(base.model);
  const std::vector<const format::TensorInfo*> learned = learned_tensors(source);
  TWISTOR_ASSERT(body.lora() == nullptr && learned.size() == values.size(),
                 "all weights of the body were learned");
  std::vector<format::TensorValues> tensors;
  for (std::size_t i = 0; i < learned.size(); ++i) {
    const std::string root = learned[i]->name.starts_with(base.root) ? "" : base.root;
    tensors.push_back({{root + learned[i]->name, learned[i]->shape}, values[i]});
  }
  const bool is_tied = source.head == nullptr;
  const std::vector<float> head = format::read_f32(is_tied ? *source.embedding : *source.head);
  const std::string name = !is_tied                             ? source.head->name
                           : source.traits.family == "GPT-NeoX" ? "embed_out.weight"
                                                                : "lm_head.weight";
  tensors.push_back({{name, source.embedding->shape}, head});
  std::error_code failure;
  std::filesystem::create_directories(folder, failure);
  TWISTOR_CHECK(!failure, ErrorKind::io, writing_model, failure.message(), "choose another run.output");
  const std::filesystem::path model(base.model);
  write_weights(folder / "model.safetensors", tensors);
  write_file_atomically(folder / "config.json", config_of(model, is_tied), writing_model);
  for (const char* beside : files_beside)
    if (std::filesystem::exists(model / beside))
      write_file_atomically(folder / beside, text_of(model / beside), writing_model);
}

}  // namespace twistor::model
