// SPDX-License-Identifier: Apache-2.0
// The metadata of one architecture in a GGUF file, with a record of what was read: a key that nobody asked
// for could change the outputs, so it is refused. Private to the model room.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "twistor/format/gguf_file.hpp"
#include "twistor/format/weight_file.hpp"

namespace twistor::model {

/// Names are those after "ARCH.". Every lookup throws Error(data) naming file and key.
class GgufKeys {
 public:
  explicit GgufKeys(const format::GgufFile& file);

  [[nodiscard]] const std::string& architecture() const { return architecture_; }
  /// An integer in [1, most].
  [[nodiscard]] std::int64_t size(const std::string& name, std::int64_t most);
  [[nodiscard]] std::optional<std::int64_t> find_size(const std::string& name, std::int64_t most);
  /// An integer in [0, most]; 0 where the key is missing.
  [[nodiscard]] std::int64_t count(const std::string& name, std::int64_t most);
  /// A finite number above 0.
  [[nodiscard]] double positive(const std::string& name);
  [[nodiscard]] std::optional<double> find_positive(const std::string& name);
  [[nodiscard]] std::optional<bool> find_boolean(const std::string& name);
  [[nodiscard]] std::optional<std::string> find_string(const std::string& name);
  /// Counts keys that do not change the outputs as read.
  void ignore(std::initializer_list<std::string_view> names);

  /// Throws Error(data) about the key ARCH.name.
  [[noreturn]] void fail(const std::string& name, const std::string& problem,
                         const std::string& hint = {}) const;
  /// Throws Error(data) naming every key of the architecture that was not asked for.
  void finish() const;

 private:
  [[nodiscard]] std::string key(const std::string& name);

  const format::GgufFile* file_;
  std::string architecture_;
  std::set<std::string, std::less<>> read_;
};

/// Rows of the embedding `name`, which the key vocab_size must agree with, if it is there.
[[nodiscard]] std::int64_t vocabulary_of(GgufKeys& keys, const format::WeightFile& file,
                                         const std::string& name);

}  // namespace twistor::model
