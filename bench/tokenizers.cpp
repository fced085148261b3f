// SPDX-License-Identifier: Apache-2.0
// Encoding speed of tokenizers on English text, one core, and the cost of growing texts: time for each byte
// of a long text over that of a short one.
//
// usage: bench_tokenizers [TEXT_FILE [MODEL...]]    default: the documentation of this repository, the
// vocabularies
//        of the cache and of ../shared, and every tokenizer of tests/golden; MODEL as for `twistor tokenize`
#include <fmt/core.h>

#include <algorithm>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "twistor/base/stopwatch.hpp"
#include "twistor/text/tokenizer.hpp"
#include "twistor/text/tokenizer_formats.hpp"

namespace {

namespace fs = std::filesystem;
using twistor::Stopwatch;
using twistor::text::Tokenizer;

const fs::path root = TWISTOR_SOURCE_DIR;

std::string read(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::string documentation() {
  std::string out = read(root / "README.md");
  for (const char* name : {"architecture.md", "method.md", "file-formats.md", "performance.md"})
    out += read(root / "docs" / name);
  return out;
}

// The text again and again, up to a number of bytes.
std::string repeated(const std::string& text, std::size_t n_bytes) {
  std::string out;
  while (out.size() < n_bytes) out += text;
  out.resize(n_bytes);
  return out;
}

// Bytes a second in 10^6, the best of five.
double speed(const Tokenizer& tokenizer, const std::string& text) {
  double best = std::numeric_limits<double>::infinity();
  for (int i = 0; i < 5; ++i) {
    const Stopwatch watch;
    if (tokenizer.encode(text).empty()) return 0;
    best = std::min(best, watch.seconds());
  }
  return static_cast<double>(text.size()) / best / 1e6;
}

void print_row(const std::string& name, const Tokenizer& tokenizer, const std::string& text) {
  const std::string letters(100'000, 'a');
  const double long_text = speed(tokenizer, repeated(text, 4'000'000));
  const double short_text = speed(tokenizer, repeated(text, 4'000));
  const double equal_letters_ms = static_cast<double>(letters.size()) / speed(tokenizer, letters) / 1e3;
  fmt::print("| {} | {:.1f} | {} | {:.2f} | {:.2f} |\n", name, long_text, long_text >= 5 ? "met" : "missed",
             short_text / long_text, equal_letters_ms);
}

std::vector<fs::path> real_vocabularies() {
  const char* cache = std::getenv("TWISTOR_CACHE");
  const char* home = std::getenv("HOME");
  const fs::path models =
      (cache != nullptr ? fs::path(cache) : fs::path(home != nullptr ? home : "/") / ".cache/twistor") /
      "models";
  const fs::path shared = root / "../shared/tokenizer-goldens";
  return {models / "smollm2/SmolLM2-135M-Instruct.Q4_1.gguf", shared / "gpt-2.gguf",
          shared / "starcoder.gguf", shared / "bert-bge.gguf"};
}

void run(const std::vector<std::string>& arguments) {
  const std::string text = arguments.empty() ? documentation() : read(arguments[0]);
  fmt::print("| tokenizer | MB/s of 4 MB | >= 5 MB/s | 4 kB against 4 MB | 100,000 equal letters ms |\n");
  fmt::print("|---|---|---|---|---|\n");
  for (std::size_t i = 1; i < arguments.size(); ++i)
    if (const auto tokenizer = twistor::text::load_tokenizer(arguments[i]))
      print_row(fs::path(arguments[i]).filename().string(), *tokenizer, text);
  if (arguments.size() > 1) return;
  for (const fs::path& file : real_vocabularies())
    if (fs::exists(file)) print_row(file.stem().string(), *twistor::text::load_tokenizer(file), text);
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(root / "tests/golden/text_parity"))
    files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  for (const fs::path& path : files) {
    const std::string name = path.stem().string();
    const auto document = nlohmann::json::parse(read(path));
    if (name.starts_with("normalizer_") || name.starts_with("decoder_") || name.starts_with("added_"))
      continue;
    if (!document.is_object() || !document.contains("tokenizer") || document["tokenizer"].is_null()) continue;
    print_row(name, *twistor::text::parse_tokenizer_json(document["tokenizer"].dump(), name), text);
  }
}

}  // namespace

int main(int argc, char** argv) {
  try {
    run({argv + 1, argv + argc});
    return 0;
  } catch (const std::exception& error) {
    fmt::print(stderr, "bench_tokenizers: {}\n", error.what());
    return 1;
  }
}
