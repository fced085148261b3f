// SPDX-License-Identifier: Apache-2.0
// The header's length (8 bytes, little-endian), the header in JSON padded with spaces, the values.
#include "twistor/format/safetensors_writer.hpp"

#include <bit>
#include <cstring>
#include <nlohmann/json.hpp>
#include <numeric>

#include "twistor/base/error.hpp"

namespace twistor::format {
namespace {

static_assert(std::endian::native == std::endian::little);

constexpr std::size_t alignment = 64;  // of the values, so that a mapped file's rows begin at cache lines

std::uint64_t numel(const TensorShape& tensor) {
  return std::accumulate(
      tensor.shape.begin(), tensor.shape.end(), std::uint64_t{1},
      [](std::uint64_t n, std::int64_t size) { return n * static_cast<std::uint64_t>(size); });
}

}  // namespace

std::string safetensors_header(std::span<const TensorShape> tensors,
                               const std::map<std::string, std::string>& metadata) {
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  std::uint64_t begin = 0;
  for (const TensorShape& tensor : tensors) {
    TWISTOR_ASSERT(!header.contains(tensor.name), "a file holds one tensor of each name");
    const std::uint64_t end = begin + sizeof(float) * numel(tensor);
    header[tensor.name] = {{"dtype", "F32"}, {"shape", tensor.shape}, {"data_offsets", {begin, end}}};
    begin = end;
  }
  std::string text = header.dump();
  const std::size_t size = sizeof(std::uint64_t) + text.size();
  text.append((alignment - size % alignment) % alignment, ' ');
  const std::uint64_t length = text.size();
  std::string bytes(sizeof length, '\0');
  std::memcpy(bytes.data(), &length, sizeof length);
  return bytes + text;
}

std::string safetensors_bytes(std::span<const TensorValues> tensors,
                              const std::map<std::string, std::string>& metadata) {
  std::vector<TensorShape> shapes;
  for (const TensorValues& t : tensors) {
    TWISTOR_ASSERT(t.values.size() == numel(t.tensor), "a tensor has as many values as its shape asks for");
    shapes.push_back(t.tensor);
  }
  std::string bytes = safetensors_header(shapes, metadata);
  for (const TensorValues& t : tensors)
    bytes.append(reinterpret_cast<const char*>(t.values.data()), t.values.size_bytes());
  return bytes;
}

}  // namespace twistor::format
