// SPDX-License-Identifier: Apache-2.0
// The tensors of a GGUF file: type numbers, extents, overlaps.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <utility>

#include "twistor/base/error.hpp"
#include "twistor/format/gguf_parts.hpp"
#include "twistor/format/quote.hpp"
#include "twistor/format/weight_formats.hpp"

namespace twistor::format {
namespace {

struct GgmlType {
  std::uint32_t number;
  StoredType type;
};
constexpr GgmlType readable_types[] = {
    {0, StoredType::f32},   {1, StoredType::f16},   {2, StoredType::q4_0}, {3, StoredType::q4_1},
    {6, StoredType::q5_0},  {7, StoredType::q5_1},  {8, StoredType::q8_0}, {12, StoredType::q4_k},
    {13, StoredType::q5_k}, {14, StoredType::q6_k}, {27, StoredType::i64}, {30, StoredType::bf16}};

// Names for the message only, by number; empty where the format has dropped the type.
constexpr std::string_view ggml_names[] = {
    "F32",   "F16",    "Q4_0", "Q4_1", "",     "",        "Q5_0",   "Q5_1",    "Q8_0",  "Q8_1",   "Q2_K",
    "Q3_K",  "Q4_K",   "Q5_K", "Q6_K", "Q8_K", "IQ2_XXS", "IQ2_XS", "IQ3_XXS", "IQ1_S", "IQ4_NL", "IQ3_S",
    "IQ2_S", "IQ4_XS", "I8",   "I16",  "I32",  "I64",     "F64",    "IQ1_M",   "BF16"};

StoredType stored_type(const GgufTensor& tensor, const std::string& doing) {
  for (const GgmlType& known : readable_types)
    if (known.number == tensor.type) return known.type;
  const bool is_named = tensor.type < std::size(ggml_names) && !ggml_names[tensor.type].empty();
  throw Error(
      ErrorKind::data, doing,
      fmt::format("tensor {}: elements of type {} are not supported", quote(tensor.name),
                  is_named ? std::string(ggml_names[tensor.type]) : fmt::format("number {}", tensor.type)),
      "supported: F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q4_K, Q5_K, Q6_K; convert the model to one "
      "of these");
}

TensorInfo locate(const GgufTensor& entry, std::span<const std::byte> data, const std::string& doing) {
  TensorInfo tensor;
  tensor.name = entry.name;
  tensor.shape = entry.shape;
  tensor.type = stored_type(entry, doing);
  const std::string what = "tensor " + quote(entry.name);
  const StoredLayout layout = layout_of(tensor.type);
  const std::int64_t numel = checked_numel(entry.shape, doing, what);
  const std::int64_t row_size = entry.shape.empty() ? 1 : entry.shape.back();
  TWISTOR_CHECK(row_size % layout.block_elements == 0, ErrorKind::data, doing,
                fmt::format("{}: expected rows of a multiple of {} elements for {}, got {}", what,
                            layout.block_elements, layout.name, row_size));
  const std::uint64_t room = data.size() - entry.offset;  // the container checked offset <= size
  const auto n_blocks = static_cast<std::uint64_t>(numel / layout.block_elements);
  const auto block_bytes = static_cast<std::uint64_t>(layout.block_bytes);
  TWISTOR_CHECK(
      n_blocks <= room / block_bytes, ErrorKind::data, doing,
      fmt::format("{}: expected {} blocks of {} bytes at offset {}, got {} bytes up to the end of the file",
                  what, n_blocks, block_bytes, entry.offset, room),
      "the file was probably not downloaded or copied completely");
  tensor.bytes = data.subspan(entry.offset, n_blocks * block_bytes);
  return tensor;
}

void check_overlaps(const std::vector<TensorInfo>& tensors, const std::string& doing) {
  std::vector<const TensorInfo*> order;
  for (const TensorInfo& tensor : tensors)
    if (!tensor.bytes.empty()) order.push_back(&tensor);
  std::ranges::sort(order, {}, [](const TensorInfo* tensor) { return tensor->bytes.data(); });
  for (std::size_t i = 1; i < order.size(); ++i)
    TWISTOR_CHECK(
        order[i - 1]->bytes.data() + order[i - 1]->bytes.size() <= order[i]->bytes.data(), ErrorKind::data,
        doing, fmt::format("tensor {} overlaps tensor {}", quote(order[i]->name), quote(order[i - 1]->name)));
}

/// A file, or all parts of a model.
class GgufWeights final : public WeightFile {
 public:
  explicit GgufWeights(const std::filesystem::path& path) : path_(path) {
    files_.push_back(GgufFile::open(path));
    const std::vector<std::filesystem::path> parts = gguf_parts(files_.front(), path);
    for (const std::filesystem::path& part : parts)
      if (part != path) files_.push_back(GgufFile::open(part));
    std::int64_t n_wanted = -1;
    for (const GgufFile& file : files_) {
      for (TensorInfo& tensor : gguf_tensors(file)) tensors_.push_back(std::move(tensor));
      if (const auto n = file.find_integer("split.tensors.count"); n && parts.size() > 1) n_wanted = *n;
    }
    std::ranges::sort(tensors_, {}, &TensorInfo::name);
    const std::string doing = "reading the tensors of GGUF file " + path.string();
    const auto twice = std::ranges::adjacent_find(tensors_, {}, &TensorInfo::name);
    TWISTOR_CHECK(twice == tensors_.end(), ErrorKind::data, doing,
                  fmt::format("tensor {} is in two parts of the model", quote(twice->name)),
                  "the parts are of different models");
    TWISTOR_CHECK(n_wanted < 0 || n_wanted == std::ssize(tensors_), ErrorKind::data, doing,
                  fmt::format("expected {} tensors in all parts, got {}", n_wanted, tensors_.size()),
                  "the parts are of different models, or damaged");
  }

  const std::vector<TensorInfo>& tensors() const override { return tensors_; }
  std::filesystem::path path() const override { return path_; }

 private:
  std::filesystem::path path_;
  std::vector<GgufFile> files_;  // keep the mappings alive
  std::vector<TensorInfo> tensors_;
};

}  // namespace

std::vector<TensorInfo> gguf_tensors(const GgufFile& file) {
  const std::string doing = "reading the tensors of GGUF file " + file.name();
  std::vector<TensorInfo> tensors;
  for (const GgufTensor& entry : file.tensors()) tensors.push_back(locate(entry, file.data(), doing));
  check_overlaps(tensors, doing);
  std::ranges::sort(tensors, {}, &TensorInfo::name);
  return tensors;
}

std::unique_ptr<WeightFile> open_gguf_weights(const std::filesystem::path& file) {
  return std::make_unique<GgufWeights>(file);
}

}  // namespace twistor::format
