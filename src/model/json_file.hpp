// A file of JSON, read whole. Private to the model room.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "twistor/base/mapped_file.hpp"
#include "twistor/text/json.hpp"

namespace twistor::model {

/// Throws Error(no_input) if the file cannot be read, Error(data) if it is no JSON.
struct JsonFile {
  explicit JsonFile(const std::filesystem::path& path)
      : doing("reading " + path.string()), file(path), document(text::parse_json(text(), doing)) {}
  [[nodiscard]] std::string_view text() const {
    return {reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()};
  }
  /// Views this.
  [[nodiscard]] text::JsonView view() const { return {document, doing}; }

  std::string doing;
  MappedFile file;
  nlohmann::json document;
};

}  // namespace twistor::model
