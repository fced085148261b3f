// Reading files of texts.
#include "twistor/format/text_lines.hpp"

#include <fmt/format.h>

#include <cstdint>
#include <fstream>
#include <nlohmann/json.hpp>

#include "twistor/base/error.hpp"
#include "twistor/format/json.hpp"

namespace twistor::format {
namespace {

std::string text_of_json(const std::string& line, const std::string& doing) {
  const nlohmann::json json = parse_json(line, doing);
  const JsonView view(json, doing);
  return view.is_object() ? view.at("text").string() : view.string();
}

}  // namespace

std::vector<std::string> read_texts(const std::filesystem::path& path) {
  const std::string doing = fmt::format("reading texts from {}", path.string());
  std::ifstream file(path, std::ios::binary);
  TWISTOR_CHECK(file.is_open() && !std::filesystem::is_directory(path), ErrorKind::no_input, doing,
                "expected a file that can be read", "check --file");
  std::vector<std::string> texts;
  std::string line;
  for (std::int64_t number = 1; std::getline(file, line); ++number) {
    if (line.ends_with('\r')) line.pop_back();
    texts.push_back(
        path.extension() == ".jsonl" ? text_of_json(line, fmt::format("{}, line {}", doing, number)) : line);
  }
  TWISTOR_CHECK(!file.bad(), ErrorKind::no_input, doing, "reading stopped before the end of the file");
  TWISTOR_CHECK(!texts.empty(), ErrorKind::data, doing, "there is no text in it");
  return texts;
}

}  // namespace twistor::format
