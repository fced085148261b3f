// SPDX-License-Identifier: Apache-2.0
// safetensors: a length, a JSON header, and the tensors one after another without gaps.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <utility>

#include "twistor/base/error.hpp"
#include "twistor/base/mapped_file.hpp"
#include "twistor/format/json.hpp"
#include "twistor/format/quote.hpp"
#include "twistor/format/weight_formats.hpp"

namespace twistor::format {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t length_bytes = 8;
constexpr std::uint64_t largest_header_bytes = 100'000'000;  // the format's own limit

constexpr const char* reading = "reading safetensors file ";
constexpr const char* metadata_key = "__metadata__";

struct Dtype {
  std::string_view name;
  StoredType type;
  std::int64_t bytes;
};
constexpr Dtype dtypes[] = {
    {"F32", StoredType::f32, 4},   {"F16", StoredType::f16, 2},       {"BF16", StoredType::bf16, 2},
    {"I64", StoredType::i64, 8},   {"BOOL", StoredType::other, 1},    {"U8", StoredType::other, 1},
    {"I8", StoredType::other, 1},  {"I16", StoredType::other, 2},     {"U16", StoredType::other, 2},
    {"I32", StoredType::other, 4}, {"U32", StoredType::other, 4},     {"U64", StoredType::other, 8},
    {"F64", StoredType::other, 8}, {"F8_E4M3", StoredType::other, 1}, {"F8_E5M2", StoredType::other, 1}};

const Dtype& find_dtype(const JsonView& json) {
  const std::string& name = json.string();
  for (const Dtype& dtype : dtypes)
    if (dtype.name == name) return dtype;
  json.fail(fmt::format("the element type {} is not known", quote(name)), "readable: F32, F16, BF16");
}

TensorInfo parse_tensor(const std::string& name, const JsonView& json, std::span<const std::byte> data,
                        const std::string& doing) {
  TensorInfo tensor;
  tensor.name = name;
  const std::string what = "tensor " + quote(name);
  const Dtype& dtype = find_dtype(json.at("dtype"));
  tensor.type = dtype.type;
  const JsonView shape = json.at("shape");
  for (std::size_t i = 0; i < shape.array_size(); ++i) tensor.shape.push_back(shape.item(i).integer(0));
  const JsonView offsets = json.at("data_offsets");
  if (offsets.array_size() != 2)
    offsets.fail(fmt::format("expected two offsets, got {}", offsets.array_size()));
  const auto size = static_cast<std::int64_t>(data.size());
  const std::int64_t end = offsets.item(1).integer(0, size);
  const std::int64_t begin = offsets.item(0).integer(0, end);
  const std::int64_t numel = checked_numel(tensor.shape, doing, what);
  TWISTOR_CHECK((end - begin) % dtype.bytes == 0 && (end - begin) / dtype.bytes == numel, ErrorKind::data,
                doing,
                fmt::format("{}: expected {} elements of {} bytes for shape [{}], got {} bytes", what, numel,
                            dtype.bytes, fmt::join(tensor.shape, ", "), end - begin));
  tensor.bytes = data.subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(end - begin));
  return tensor;
}

// The format forbids gaps and overlaps: nothing can hide in the file, and no two tensors share bytes.
void check_tiling(const std::vector<TensorInfo>& tensors, std::span<const std::byte> data,
                  const std::string& doing) {
  std::vector<const TensorInfo*> order;
  for (const TensorInfo& tensor : tensors) order.push_back(&tensor);
  std::ranges::sort(order, [](const TensorInfo* a, const TensorInfo* b) {
    return std::pair(a->bytes.data(), a->bytes.size()) < std::pair(b->bytes.data(), b->bytes.size());
  });
  std::ptrdiff_t expected = 0;
  for (const TensorInfo* tensor : order) {
    const std::ptrdiff_t begin = tensor->bytes.data() - data.data();
    TWISTOR_CHECK(begin == expected, ErrorKind::data, doing,
                  fmt::format("tensor {}: expected it to begin at offset {}, got {} ({})",
                              quote(tensor->name), expected, begin,
                              begin < expected ? "it overlaps another tensor" : "there is a gap before it"));
    expected = begin + static_cast<std::ptrdiff_t>(tensor->bytes.size());
  }
  TWISTOR_CHECK(expected == static_cast<std::ptrdiff_t>(data.size()), ErrorKind::data, doing,
                fmt::format("expected {} bytes of tensors, got {}", expected, data.size()));
}

/// The JSON at the front of a file.
std::string_view header_of(std::span<const std::byte> bytes, const std::string& doing) {
  TWISTOR_CHECK(bytes.size() >= length_bytes, ErrorKind::data, doing,
                fmt::format("expected at least {} bytes, got {}", length_bytes, bytes.size()));
  std::uint64_t header_size = 0;
  std::memcpy(&header_size, bytes.data(), length_bytes);
  const std::uint64_t most = std::min<std::uint64_t>(bytes.size() - length_bytes, largest_header_bytes);
  TWISTOR_CHECK(header_size <= most, ErrorKind::data, doing,
                fmt::format("expected a header of at most {} bytes, got a length of {}", most, header_size),
                "the file is truncated, or is no safetensors file");
  return {reinterpret_cast<const char*>(bytes.data()) + length_bytes, header_size};
}

/// A folder of one or many files.
class SafetensorsFolder final : public WeightFile {
 public:
  explicit SafetensorsFolder(fs::path folder) : folder_(std::move(folder)) {
    if (fs::exists(folder_ / "model.safetensors")) {
      files_.emplace_back(folder_ / "model.safetensors");
      tensors_ = parse_safetensors(files_.back().bytes(), files_.back().path().string());
      return;
    }
    const fs::path index = folder_ / "model.safetensors.index.json";
    TWISTOR_CHECK(fs::exists(index), ErrorKind::no_input, "looking for weights in " + folder_.string(),
                  "expected model.safetensors or model.safetensors.index.json, got neither",
                  "check the path; PyTorch's .bin files must be converted to safetensors first");
    open_shards(index);
  }

  const std::vector<TensorInfo>& tensors() const override { return tensors_; }
  fs::path path() const override { return folder_; }

 private:
  void open_shards(const fs::path& index_path) {
    const std::string doing = "reading " + index_path.string();
    const MappedFile index(index_path);
    const auto document =
        parse_json({reinterpret_cast<const char*>(index.bytes().data()), index.bytes().size()}, doing);
    const JsonView map = JsonView(document, doing).at("weight_map");
    std::map<std::string, std::vector<TensorInfo>> shards;
    for (const auto& [name, file_value] : map.object().items()) {
      const JsonView place = map.child(name, file_value);
      const std::string& file = place.string();
      if (file.empty() || file == ".." || file.find('/') != std::string::npos ||
          file.find('\0') != std::string::npos)
        place.fail(fmt::format("expected the name of a file in the same folder, got {}", quote(file)));
      auto shard = shards.find(file);
      if (shard == shards.end()) {
        files_.emplace_back(folder_ / file);
        shard = shards.emplace(file, parse_safetensors(files_.back().bytes(), files_.back().path().string()))
                    .first;
      }
      const auto found = std::ranges::lower_bound(shard->second, name, {}, &TensorInfo::name);
      if (found == shard->second.end() || found->name != name)
        place.fail(fmt::format("the tensor is not in {}", quote(file)));
      tensors_.push_back(*found);
    }
    std::ranges::sort(tensors_, {}, &TensorInfo::name);
  }

  fs::path folder_;
  std::vector<MappedFile> files_;
  std::vector<TensorInfo> tensors_;
};

}  // namespace

std::vector<TensorInfo> parse_safetensors(std::span<const std::byte> bytes, const std::string& name) {
  const std::string doing = reading + name;
  const auto header = header_of(bytes, doing);
  const auto data = bytes.subspan(length_bytes + header.size());
  const auto document = parse_json(header, doing);
  const JsonView root(document, doing);
  std::vector<TensorInfo> tensors;
  for (const auto& [key, value] : root.object().items())
    if (key != metadata_key) tensors.push_back(parse_tensor(key, root.child(key, value), data, doing));
  check_tiling(tensors, data, doing);
  std::ranges::sort(tensors, {}, &TensorInfo::name);
  return tensors;
}

std::map<std::string, std::string> safetensors_metadata(std::span<const std::byte> bytes,
                                                        const std::string& name) {
  const std::string doing = reading + name;
  const auto document = parse_json(header_of(bytes, doing), doing);
  std::map<std::string, std::string> out;
  if (const auto metadata = JsonView(document, doing).find(metadata_key))
    for (const auto& [key, value] : metadata->object().items())
      out[key] = metadata->child(key, value).string();
  return out;
}

std::unique_ptr<WeightFile> open_safetensors(const fs::path& folder) {
  return std::make_unique<SafetensorsFolder>(folder);
}

}  // namespace twistor::format
