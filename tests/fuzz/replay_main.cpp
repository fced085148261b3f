// SPDX-License-Identifier: Apache-2.0
// Runs a fuzz target once over every file of its corpus, and over each of them damaged in many ways; needs no
// libFuzzer.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

namespace fs = std::filesystem;
using Bytes = std::vector<std::uint8_t>;

constexpr int n_damaged_per_file = 300;

Bytes read_file(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// An exact copy on the heap, so that a sanitizer sees every step past its end.
void run(const Bytes& bytes) {
  const Bytes exact(bytes);
  LLVMFuzzerTestOneInput(exact.data(), exact.size());
}

Bytes damaged(const Bytes& original, std::mt19937& random) {
  Bytes bytes = original;
  if (bytes.empty()) return bytes;
  const auto anywhere = [&] { return static_cast<std::size_t>(random() % bytes.size()); };
  switch (random() % 4) {
    case 0:
      bytes.resize(anywhere());
      break;
    case 1:
      bytes[anywhere()] ^= static_cast<std::uint8_t>(1u << (random() % 8));
      break;
    case 2: {
      const std::size_t begin = anywhere();
      std::fill_n(bytes.begin() + static_cast<std::ptrdiff_t>(begin),
                  std::min<std::size_t>(8, bytes.size() - begin), std::uint8_t{0xff});
      break;
    }
    default:
      bytes.insert(bytes.begin() + static_cast<std::ptrdiff_t>(anywhere()), bytes.begin(),
                   bytes.begin() + static_cast<std::ptrdiff_t>(anywhere()));
  }
  return bytes;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return std::fprintf(stderr, "usage: %s CORPUS_FOLDER\n", argv[0]), 64;
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(argv[1]))
    if (entry.is_regular_file()) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  std::mt19937 random(1);
  for (const fs::path& path : files) {
    std::string step = "as it is";
    try {
      const Bytes bytes = read_file(path);
      run(bytes);
      for (int i = 0; i < n_damaged_per_file; ++i) {
        step = "damage " + std::to_string(i);
        run(damaged(bytes, random));
      }
    } catch (const std::exception& error) {
      return std::fprintf(stderr, "%s (%s): %s\n", path.c_str(), step.c_str(), error.what()), 1;
    }
  }
  std::printf("%zu files, %d damaged copies of each\n", files.size(), n_damaged_per_file);
  return files.empty() ? 1 : 0;
}
