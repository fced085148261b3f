// SPDX-License-Identifier: Apache-2.0
// Reading, writing and applying linear heads.
#include "twistor/model/linear_head.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "twistor/base/atomic_file.hpp"
#include "twistor/base/error.hpp"
#include "twistor/base/mapped_file.hpp"
#include "twistor/format/json.hpp"
#include "twistor/format/safetensors_writer.hpp"
#include "twistor/format/weight_formats.hpp"

namespace twistor::model {
namespace {

constexpr const char *classes_key = "classes", *encoder_key = "encoder";
constexpr const char* made_by = "a head is made by train_head";
constexpr std::int64_t most_classes = 1 << 16, most_features = 1 << 20;

std::vector<std::string> parse_classes(const std::string& list, const std::string& doing) {
  const nlohmann::json document = format::parse_json(list, doing);
  const format::JsonView view(document, doing, classes_key);
  std::vector<std::string> classes;
  for (std::size_t i = 0; i < view.array_size(); ++i) classes.push_back(view.item(i).string());
  for (std::size_t i = 0; i < classes.size(); ++i)
    if (std::find(classes.begin(), classes.begin() + static_cast<std::ptrdiff_t>(i), classes[i]) !=
        classes.begin() + static_cast<std::ptrdiff_t>(i))
      view.item(i).fail("a class of that name came before");
  if (classes.size() < 2 || classes.size() > most_classes)
    view.fail(fmt::format("expected 2 to {} classes, got {}", most_classes, classes.size()));
  return classes;
}

/// The tensor of that name with n rows, one for each class.
std::vector<float> read_floats(const std::vector<format::TensorInfo>& tensors, const std::string& name,
                               std::size_t n_dimensions, std::size_t n, const std::string& doing) {
  const auto found = std::ranges::find(tensors, name, &format::TensorInfo::name);
  TWISTOR_CHECK(found != tensors.end(), ErrorKind::data, doing, fmt::format("it has no tensor \"{}\"", name),
                made_by);
  TWISTOR_CHECK(found->shape.size() == n_dimensions && found->shape[0] == static_cast<std::int64_t>(n) &&
                    found->shape.back() > 0 && found->shape.back() <= most_features,
                ErrorKind::data, doing,
                fmt::format("tensor \"{}\": expected {} dimensions, the first of {} classes, got shape [{}]",
                            name, n_dimensions, n, fmt::join(found->shape, ", ")),
                made_by);
  return format::read_f32(*found);
}

}  // namespace

std::vector<double> LinearHead::logits(std::span<const float> embeddings) const {
  const auto d = static_cast<std::size_t>(width());
  TWISTOR_ASSERT(embeddings.size() % d == 0, "embeddings must be (n, D)");
  std::vector<double> out;
  out.reserve(embeddings.size() / d * classes.size());
  for (std::size_t row = 0; row < embeddings.size(); row += d)
    for (std::size_t c = 0; c < classes.size(); ++c) {
      double sum = static_cast<double>(bias[c]);
      for (std::size_t i = 0; i < d; ++i)
        sum += static_cast<double>(weight[c * d + i]) * static_cast<double>(embeddings[row + i]);
      out.push_back(sum);
    }
  return out;
}

LinearHead read_linear_head(const std::filesystem::path& path) {
  const std::string doing = "reading the linear head " + path.string();
  const MappedFile file(path);
  const std::vector<format::TensorInfo> tensors = format::parse_safetensors(file.bytes(), path.string());
  LinearHead head;
  head.notes = format::safetensors_metadata(file.bytes(), path.string());
  for (const char* key : {classes_key, encoder_key})
    TWISTOR_CHECK(head.notes.contains(key), ErrorKind::data, doing,
                  fmt::format("its metadata has no \"{}\"", key), made_by);
  head.classes = parse_classes(head.notes.at(classes_key), doing);
  head.encoder_fingerprint = head.notes.at(encoder_key);
  head.notes.erase(classes_key);
  head.notes.erase(encoder_key);
  head.weight = read_floats(tensors, "weight", 2, head.classes.size(), doing);
  head.bias = read_floats(tensors, "bias", 1, head.classes.size(), doing);
  return head;
}

void write_linear_head(const std::filesystem::path& path, const LinearHead& head) {
  std::map<std::string, std::string> metadata = head.notes;
  metadata[classes_key] = nlohmann::json(head.classes).dump();
  metadata[encoder_key] = head.encoder_fingerprint;
  const auto n = static_cast<std::int64_t>(head.classes.size());
  const format::TensorValues tensors[] = {{{"weight", {n, head.width()}}, head.weight},
                                          {{"bias", {n}}, head.bias}};
  write_file_atomically(path, format::safetensors_bytes(tensors, metadata),
                        "writing the linear head " + path.string());
}

}  // namespace twistor::model
