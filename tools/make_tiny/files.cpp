// SPDX-License-Identifier: Apache-2.0
// Writing and reading the tiny model's three files; bytes depend on nothing but the model.
#include "make_tiny/files.hpp"

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <span>

#include "make_tiny/grammar.hpp"
#include "twistor/base/atomic_file.hpp"
#include "twistor/base/error.hpp"
#include "twistor/base/mapped_file.hpp"
#include "twistor/format/safetensors_writer.hpp"
#include "twistor/format/weight_formats.hpp"

namespace twistor::tiny {
namespace {

using Json = nlohmann::ordered_json;

void write_file(const std::filesystem::path& path, const std::string& bytes) {
  write_file_atomically(path, bytes, "writing the tiny model");
}

Json config_json(const Shape& s) {
  return {{"architectures", {"GPT2LMHeadModel"}},
          {"model_type", "gpt2"},
          {"activation_function", "gelu_new"},
          {"vocab_size", s.n_vocab},
          {"n_positions", s.n_positions},
          {"n_embd", s.n_embd},
          {"n_layer", s.n_layer},
          {"n_head", s.n_head},
          {"n_inner", nullptr},
          {"layer_norm_epsilon", layer_norm_epsilon},
          {"tie_word_embeddings", true},
          {"attn_pdrop", 0.0},
          {"embd_pdrop", 0.0},
          {"resid_pdrop", 0.0},
          {"bos_token_id", end_id},
          {"eos_token_id", end_id},
          {"torch_dtype", "float32"}};
}

Json tokenizer_json(const std::vector<std::string>& words) {
  Json added = Json::array(), vocabulary = Json::object();
  for (const std::int64_t id : {end_id, unknown_id}) {
    added.push_back({{"id", id},
                     {"content", words[static_cast<std::size_t>(id)]},
                     {"single_word", false},
                     {"lstrip", false},
                     {"rstrip", false},
                     {"normalized", false},
                     {"special", true}});
  }
  for (std::size_t id = 0; id < words.size(); ++id) vocabulary[words[id]] = id;
  const std::string unknown = words[static_cast<std::size_t>(unknown_id)];
  return {{"version", "1.0"},
          {"truncation", nullptr},
          {"padding", nullptr},
          {"added_tokens", added},
          {"normalizer", nullptr},
          {"pre_tokenizer", {{"type", "WhitespaceSplit"}}},
          {"post_processor", nullptr},
          {"decoder", nullptr},
          {"model", {{"type", "WordLevel"}, {"vocab", vocabulary}, {"unk_token", unknown}}}};
}

std::string safetensors(const Gpt& model) {
  std::vector<at::Tensor> parameters;
  std::vector<format::TensorValues> tensors;
  const auto shapes = Gpt::parameter_shapes(model.shape());
  for (std::size_t i = 0; i < shapes.size(); ++i) {
    const at::Tensor& values = parameters.emplace_back(model.parameters()[i].detach().contiguous());
    tensors.push_back({{shapes[i].first, shapes[i].second},
                       {values.const_data_ptr<float>(), static_cast<std::size_t>(values.numel())}});
  }
  return format::safetensors_bytes(tensors, {{"format", "pt"}});
}

Json read_json(const std::filesystem::path& path) {
  const MappedFile file(path);
  const auto* text = reinterpret_cast<const char*>(file.bytes().data());
  return Json::parse(text, text + file.bytes().size());
}

std::vector<at::Tensor> read_tensors(const std::filesystem::path& path, const Shape& shape) {
  const MappedFile file(path);
  const auto stored = format::parse_safetensors(file.bytes(), path.string());
  std::vector<at::Tensor> tensors;
  for (const auto& [name, sizes] : Gpt::parameter_shapes(shape)) {
    const auto found = std::ranges::find(stored, name, &format::TensorInfo::name);
    TWISTOR_CHECK(found != stored.end() && found->shape == sizes, ErrorKind::data,
                  fmt::format("reading {}", path.string()),
                  fmt::format("{} is missing or has another shape", name),
                  "this tool reads only what it wrote; make the model again");
    at::Tensor tensor = at::empty(sizes, at::kFloat);
    format::read_rows_f32(*found, 0, sizes.front(),
                          {tensor.data_ptr<float>(), static_cast<std::size_t>(tensor.numel())});
    tensors.push_back(std::move(tensor));
  }
  return tensors;
}

}  // namespace

void write_model(const std::filesystem::path& folder, const Gpt& model,
                 const std::vector<std::string>& words) {
  std::error_code failed;
  std::filesystem::create_directories(folder, failed);
  TWISTOR_CHECK(!failed, ErrorKind::io, "writing the tiny model",
                fmt::format("cannot make {}: {}", folder.string(), failed.message()));
  write_file(folder / "config.json", config_json(model.shape()).dump(2) + "\n");
  write_file(folder / "tokenizer.json", tokenizer_json(words).dump(2) + "\n");
  write_file(folder / "model.safetensors", safetensors(model));
}

Gpt read_model(const std::filesystem::path& folder, const std::vector<std::string>& words) {
  const std::string doing = fmt::format("reading the model in {}", folder.string());
  try {
    const Json config = read_json(folder / "config.json");
    const Shape shape{config.at("vocab_size"), config.at("n_positions"), config.at("n_embd"),
                      config.at("n_layer"), config.at("n_head")};
    const Json vocabulary = read_json(folder / "tokenizer.json").at("model").at("vocab");
    const bool same = vocabulary == tokenizer_json(words)["model"]["vocab"];
    TWISTOR_CHECK(same && shape.n_vocab == static_cast<std::int64_t>(words.size()), ErrorKind::data, doing,
                  "its vocabulary is not the grammar's", "train it again: make_tiny train");
    return {shape, read_tensors(folder / "model.safetensors", shape)};
  } catch (const Json::exception& error) {
    throw Error(ErrorKind::data, doing, error.what(),
                "this tool reads only what it wrote; make the model again");
  }
}

}  // namespace twistor::tiny
