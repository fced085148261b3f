// SPDX-License-Identifier: Apache-2.0
// Reading an architecture's metadata with bounds.
#include "gguf_keys.hpp"

#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "twistor/base/error.hpp"
#include "twistor/format/quote.hpp"

namespace twistor::model {

GgufKeys::GgufKeys(const format::GgufFile& file)
    : file_(&file), architecture_(file.string("general.architecture")) {}

std::string GgufKeys::key(const std::string& name) {
  return *read_.insert(architecture_ + "." + name).first;
}

void GgufKeys::fail(const std::string& name, const std::string& problem, const std::string& hint) const {
  throw Error(ErrorKind::data, "reading " + file_->name(), architecture_ + "." + name + " " + problem, hint);
}

std::int64_t GgufKeys::size(const std::string& name, std::int64_t most) {
  const std::int64_t value = file_->integer(key(name));
  if (value < 1 || value > most) fail(name, fmt::format("is {}, expected 1 to {}", value, most));
  return value;
}

std::optional<std::int64_t> GgufKeys::find_size(const std::string& name, std::int64_t most) {
  if (!file_->has(key(name))) return std::nullopt;
  return size(name, most);
}

std::int64_t GgufKeys::count(const std::string& name, std::int64_t most) {
  return !file_->has(key(name)) || file_->integer(key(name)) == 0 ? 0 : size(name, most);
}

double GgufKeys::positive(const std::string& name) {
  const double value = file_->number(key(name));
  if (!(std::isfinite(value) && value > 0))
    fail(name, fmt::format("is {}, expected a number above 0", value));
  return value;
}

std::optional<double> GgufKeys::find_positive(const std::string& name) {
  if (!file_->has(key(name))) return std::nullopt;
  return positive(name);
}

std::optional<bool> GgufKeys::find_boolean(const std::string& name) {
  return file_->find_boolean(key(name));
}

std::optional<std::string> GgufKeys::find_string(const std::string& name) {
  const auto found = file_->find_string(key(name));
  return found ? std::optional(std::string(*found)) : std::nullopt;
}

void GgufKeys::ignore(std::initializer_list<std::string_view> names) {
  for (const std::string_view name : names) read_.insert(architecture_ + "." + std::string(name));
}

void GgufKeys::finish() const {
  std::string unknown;
  for (const std::string& name : file_->keys())
    if (name.starts_with(architecture_ + ".") && read_.find(name) == read_.end())
      unknown += (unknown.empty() ? "" : ", ") + format::quote(name);
  TWISTOR_CHECK(unknown.empty(), ErrorKind::data, "reading " + file_->name(),
                "these keys are not supported for this model family and could change its outputs: " + unknown,
                "a file of the model in Hugging Face layout may be readable");
}

std::int64_t vocabulary_of(GgufKeys& keys, const format::WeightFile& file, const std::string& name) {
  const format::TensorInfo* embedding = file.find(name);
  TWISTOR_CHECK(embedding != nullptr && embedding->shape.size() == 2 && embedding->shape[0] > 0,
                ErrorKind::data, "reading " + file.path().string(),
                fmt::format("the tensor {} is missing or is no matrix", format::quote(name)));
  const std::int64_t rows = embedding->shape[0];
  if (const auto size = keys.find_size("vocab_size", std::numeric_limits<std::int64_t>::max());
      size && *size != rows)
    keys.fail("vocab_size", fmt::format("is {}, but {} has {} rows", *size, name, rows));
  return rows;
}

}  // namespace twistor::model
