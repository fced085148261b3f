// Finding the files of a tokenizer.
#include "twistor/text/tokenizer.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "twistor/base/error.hpp"
#include "twistor/base/mapped_file.hpp"
#include "twistor/text/tokenizer_formats.hpp"

namespace twistor::text {
namespace {

namespace fs = std::filesystem;

std::string_view as_text(const MappedFile& file) {
  return {reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()};
}

// A token is spelled as a string or as an object with "content".
std::optional<std::string> token_member(const JsonView& root, std::string_view key) {
  const auto member = root.find(key);
  if (!member) return std::nullopt;
  return member->is_object() ? member->at("content").string() : member->string();
}

EndOfText read_end_of_text(const fs::path& folder) {
  EndOfText end;
  if (const fs::path path = folder / "tokenizer_config.json"; fs::exists(path)) {
    const MappedFile file(path);
    const auto document = parse_json(as_text(file), "reading " + path.string());
    end.token = token_member(JsonView(document, "reading " + path.string()), "eos_token");
  }
  if (const fs::path path = folder / "config.json"; fs::exists(path)) {
    const MappedFile file(path);
    const auto document = parse_json(as_text(file), "reading " + path.string());
    const JsonView root(document, "reading " + path.string());
    // Some models stop at several tokens; the first one is the model's own.
    if (const auto id = root.find("eos_token_id")) {
      const bool is_list = id->is_array();
      if (!is_list || id->array_size() > 0) end.id = (is_list ? id->item(0) : *id).integer();
    }
  }
  return end;
}

std::unique_ptr<Tokenizer> load_from_folder(const fs::path& folder) {
  if (const fs::path path = folder / "tokenizer.json"; fs::exists(path)) {
    const MappedFile file(path);
    return parse_tokenizer_json(as_text(file), path.string(), read_end_of_text(folder));
  }
  const bool has_vocab = fs::exists(folder / "vocab.json");
  const bool has_merges = fs::exists(folder / "merges.txt");
  if (!has_vocab && !has_merges) return nullptr;
  TWISTOR_CHECK(has_vocab && has_merges, ErrorKind::data, "reading the tokenizer in " + folder.string(),
                fmt::format("{} is there but {} is missing", has_vocab ? "vocab.json" : "merges.txt",
                            has_vocab ? "merges.txt" : "vocab.json"),
                "byte-level BPE needs both files, or a tokenizer.json");
  const MappedFile vocab(folder / "vocab.json");
  const MappedFile merges(folder / "merges.txt");
  return parse_vocab_merges(as_text(vocab), as_text(merges), (folder / "vocab.json").string(),
                            read_end_of_text(folder));
}

}  // namespace

std::unique_ptr<Tokenizer> load_tokenizer(const fs::path& model) {
  const std::string doing = "looking for the tokenizer of " + model.string();
  std::error_code problem;
  const fs::file_status status = fs::status(model, problem);
  TWISTOR_CHECK(fs::exists(status), ErrorKind::no_input, doing, "there is no such file or folder",
                "check the path");
  if (fs::is_directory(status)) return load_from_folder(model);
  TWISTOR_CHECK(model.extension() == ".gguf", ErrorKind::data, doing,
                "expected a folder or a .gguf file, got a file of another kind",
                "give the folder that holds tokenizer.json");
  return tokenizer_of_gguf(GgufFile::open(model));
}

}  // namespace twistor::text
