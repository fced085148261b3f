// Writing and reading the tiny model's three files; bytes depend on nothing but the model.
#include "make_tiny/files.hpp"

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <fmt/format.h>

#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <span>

#include "make_tiny/grammar.hpp"
#include "twistor/base/error.hpp"
#include "twistor/base/mapped_file.hpp"

namespace twistor::tiny {
namespace {

using Json = nlohmann::ordered_json;
constexpr std::size_t alignment = 64;

void write_file(const std::filesystem::path& path, const std::string& bytes) {
  std::ofstream out(path, std::ios::binary);
  out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  out.close();
  TWISTOR_CHECK(!out.fail(), ErrorKind::io, "writing the tiny model",
                fmt::format("cannot write {}", path.string()), "is the disk full or the folder read-only?");
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

/// safetensors: the header's length (8 bytes, little-endian), the header in JSON padded with spaces, the
/// data.
std::string safetensors(const Gpt& model) {
  Json header = {{"__metadata__", {{"format", "pt"}}}};
  std::string data;
  const auto shapes = Gpt::parameter_shapes(model.shape());
  for (std::size_t i = 0; i < shapes.size(); ++i) {
    const at::Tensor tensor = model.parameters()[i].detach().contiguous();
    const std::size_t begin = data.size();
    data.append(reinterpret_cast<const char*>(tensor.const_data_ptr<float>()), tensor.nbytes());
    header[shapes[i].first] = {
        {"dtype", "F32"}, {"shape", shapes[i].second}, {"data_offsets", {begin, data.size()}}};
  }
  std::string text = header.dump();
  while ((sizeof(std::uint64_t) + text.size()) % alignment != 0) text += ' ';
  const std::uint64_t length = text.size();
  std::string bytes(sizeof length, '\0');
  std::memcpy(bytes.data(), &length, sizeof length);
  return bytes + text + data;
}

Json read_json(const std::filesystem::path& path) {
  const MappedFile file(path);
  const auto* text = reinterpret_cast<const char*>(file.bytes().data());
  return Json::parse(text, text + file.bytes().size());
}

std::vector<at::Tensor> read_tensors(const std::filesystem::path& path, const Shape& shape) {
  const MappedFile file(path);
  const auto bytes = file.bytes();
  std::uint64_t length = 0;
  const auto fits = [&](bool condition, const std::string& what) {
    TWISTOR_CHECK(condition, ErrorKind::data, fmt::format("reading {}", path.string()), what,
                  "this tool reads only what it wrote; make the model again");
  };
  fits(bytes.size() >= sizeof length, "no header");
  std::memcpy(&length, bytes.data(), sizeof length);
  fits(length <= bytes.size() - sizeof length, "the header is longer than the file");
  const auto* text = reinterpret_cast<const char*>(bytes.data()) + sizeof length;
  const Json header = Json::parse(text, text + length);
  const auto data = bytes.subspan(sizeof length + length);
  std::vector<at::Tensor> tensors;
  for (const auto& [name, sizes] : Gpt::parameter_shapes(shape)) {
    fits(header.contains(name) && header[name].at("shape") == sizes && header[name].at("dtype") == "F32",
         fmt::format("{} is missing or has another shape", name));
    const auto begin = header[name].at("data_offsets").at(0).get<std::uint64_t>();
    at::Tensor tensor = at::empty(sizes, at::kFloat);
    fits(begin <= data.size() && tensor.nbytes() <= data.size() - begin, fmt::format("{} is cut off", name));
    std::memcpy(tensor.data_ptr<float>(), data.data() + begin, tensor.nbytes());
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
