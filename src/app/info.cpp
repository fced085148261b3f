// `twistor info`: what a file or folder is, in people's words.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>
#include <fstream>

#include "twistor/app/commands.hpp"
#include "twistor/app/target_options.hpp"
#include "twistor/base/error.hpp"
#include "twistor/base/strings.hpp"
#include "twistor/format/quote.hpp"
#include "twistor/model/load.hpp"
#include "twistor/model/masked_tokens.hpp"
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

std::string describe_ends(const text::Tokenizer& tokenizer) {
  std::string out = fmt::format("in front of a text: {}\n", describe_front(tokenizer));
  std::vector<std::string> ends;
  for (const std::int64_t id : tokenizer.end_ids())
    ends.push_back(fmt::format(
        "{} (id {})", tokenizer.has_token(id) ? format::quote(tokenizer.decode({&id, 1})) : "no token", id));
  if (ends.empty()) ends.emplace_back("the files name none");
  return out + fmt::format("ends of a text: {}\n", fmt::join(ends, ", "));
}

std::string describe_model(const fs::path& path) {
  const auto lm = model::load_language_model(path);
  const auto tokenizer = text::load_tokenizer(path);
  std::string out = fmt::format("language model: {}\n", lm->description());
  out += fmt::format("vocabulary: {} tokens\nhidden size: {}\n", lm->vocab_size(), lm->hidden_size());
  out += fmt::format("context: at most {} tokens\n", lm->context_length());
  out += fmt::format("tokenizer: {}\n",
                     tokenizer ? tokenizer->description() : "none; give prompts as token ids");
  if (tokenizer) out += describe_ends(*tokenizer);
  const auto padded = tokenizer ? model::padded_tokens(*lm, *tokenizer) : std::vector<model::TokenRange>{};
  if (!padded.empty())
    out +=
        fmt::format("padded vocabulary: {} stand for no token; model.padded_tokens = mask leaves them out\n",
                    model::describe(padded));
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
