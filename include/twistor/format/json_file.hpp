// SPDX-License-Identifier: Apache-2.0
// A file of JSON, read whole.
#pragma once

#include <filesystem>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "twistor/base/mapped_file.hpp"
#include "twistor/format/json.hpp"

namespace twistor::format {

/// *Local*, immutable. Throws Error(no_input) if the file cannot be read, Error(data) if it is not JSON.
class JsonFile {
 public:
  explicit JsonFile(const std::filesystem::path& path);
  /// The file as it stands; views this.
  [[nodiscard]] std::string_view text() const {
    return {reinterpret_cast<const char*>(file_.bytes().data()), file_.bytes().size()};
  }
  /// The document; views this.
  [[nodiscard]] JsonView view() const { return {*document_, doing_}; }

 private:
  std::string doing_;
  MappedFile file_;
  std::shared_ptr<const nlohmann::json> document_;
};

}  // namespace twistor::format
