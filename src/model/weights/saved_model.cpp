// SPDX-License-Identifier: Apache-2.0
// Folders in Hugging Face's layout: the files of the model that was learned from, with other weights.
#include "twistor/model/saved_model.hpp"

#include <fmt/format.h>

#include <array>
#include <deque>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "body_tensors.hpp"
#include "hugging_face_layout.hpp"
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
constexpr std::array names_beside{"generation_config.json",
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

/// Everything but the weights, by name. Throws Error(config) naming what a GGUF file has no words for.
std::map<std::string, std::string> files_beside(const std::filesystem::path& model,
                                                const DecoderSource& source) {
  if (model.extension() == ".gguf") {
    std::map<std::string, std::string> out = files_beside_gguf(model);
    out["config.json"] = config_of_gguf(source);
    return out;
  }
  std::map<std::string, std::string> out{{"config.json", config_of(model, source.head == nullptr)}};
  for (const char* name : names_beside)
    if (std::filesystem::exists(model / name)) out[name] = text_of(model / name);
  return out;
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
  base.layout->require(writing_model);
  const DecoderSource source = open_decoder(base.model);
  const std::map<std::string, std::string> beside = files_beside(base.model, source);
  const std::vector<const format::TensorInfo*> learned = learned_tensors(source);
  TWISTOR_ASSERT(body.lora() == nullptr && learned.size() == values.size(),
                 "all weights of the body were learned");
  std::vector<format::TensorValues> tensors;
  std::deque<std::vector<float>> reordered;
  for (std::size_t i = 0; i < learned.size(); ++i) {
    const std::string& ours = learned[i]->name;
    const std::string name = base.layout->name_of(ours);
    const std::string root = name.starts_with(base.root) ? "" : base.root;
    std::span<const float> rows = values[i];
    if (base.layout->reorders(ours)) rows = reordered.emplace_back(base.layout->rows_for_folder(ours, rows));
    tensors.push_back({{root + name, learned[i]->shape}, rows});
  }
  const bool is_tied = source.head == nullptr;
  const std::vector<float> head = format::read_f32(is_tied ? *source.embedding : *source.head);
  const std::string name = !is_tied                             ? base.layout->name_of(source.head->name)
                           : source.traits.family == "GPT-NeoX" ? "embed_out.weight"
                                                                : "lm_head.weight";
  tensors.push_back({{name, source.embedding->shape}, head});
  std::error_code failure;
  std::filesystem::create_directories(folder, failure);
  TWISTOR_CHECK(!failure, ErrorKind::io, writing_model, failure.message(), "choose another run.output");
  write_weights(folder / "model.safetensors", tensors);
  for (const auto& [file, contents] : beside) write_file_atomically(folder / file, contents, writing_model);
}

std::string why_not_written(const TrainableDecoder& body) {
  const AdapterBase base = body.adapter_base();
  if (!base.layout->why_not().empty() || body.lora() != nullptr) return base.layout->why_not();
  try {
    (void)files_beside(base.model, open_decoder(base.model));
    return {};
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::config) throw;
    return error.text();
  }
}

}  // namespace twistor::model
