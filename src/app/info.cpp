// `twistor info`: what a file or folder is, in people's words.
#include <fmt/format.h>

#include <array>
#include <fstream>

#include "twistor/app/commands.hpp"
#include "twistor/base/error.hpp"
#include "twistor/base/strings.hpp"
#include "twistor/model/load.hpp"
#include "twistor/report/describe.hpp"
#include "twistor/text/tokenizer.hpp"

namespace twistor::app {
namespace {

namespace fs = std::filesystem;

bool is_model(const fs::path& path) {
  if (fs::is_directory(path)) return !report::is_run_folder(path);
  std::array<char, 4> magic{};
  std::ifstream(path, std::ios::binary).read(magic.data(), magic.size());
  return std::string_view(magic.data(), magic.size()) == "GGUF";
}

std::string describe_model(const fs::path& path) {
  const auto lm = model::load_language_model(path);
  const auto tokenizer = text::load_tokenizer(path);
  std::string out = fmt::format("language model: {}\n", lm->description());
  out += fmt::format("vocabulary: {} tokens\nhidden size: {}\n", lm->vocab_size(), lm->hidden_size());
  out += fmt::format("context: at most {} tokens\n", lm->context_length());
  out += fmt::format("tokenizer: {}\n",
                     tokenizer ? tokenizer->description() : "none; give prompts as token ids");
  return out + fmt::format("model sha256: {}\n", lm->fingerprint());
}

}  // namespace

std::string describe(const fs::path& path) {
  TWISTOR_CHECK(fs::exists(path), ErrorKind::no_input, fmt::format("looking at {}", path.string()),
                "there is no such file or folder");
  return is_model(path) ? describe_model(path) : report::describe(path);
}

int info(const Invocation& invocation) {
  fmt::print("{}", describe(invocation.path));
  return 0;
}

}  // namespace twistor::app
