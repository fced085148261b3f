// Folders, bytes and small checkpoints for the tests of stored files.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "twistor/base/error.hpp"
#include "twistor/store/checkpoint.hpp"

namespace twistor::store::testing {

namespace fs = std::filesystem;

/// A folder of its own that goes when the test ends.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (fs::temp_directory_path() / "twistor_store_XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp failed");
    path_ = name;
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  ~TemporaryFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  [[nodiscard]] fs::path operator/(const std::string& name) const { return path_ / name; }
  [[nodiscard]] const fs::path& path() const { return path_; }
  [[nodiscard]] std::vector<std::string> names() const {
    std::vector<std::string> found;
    for (const auto& entry : fs::directory_iterator(path_)) found.push_back(entry.path().filename().string());
    std::sort(found.begin(), found.end());
    return found;
  }

 private:
  fs::path path_;
};

inline std::vector<std::byte> read_bytes(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

inline void write_bytes(const fs::path& path, std::span<const std::byte> bytes) {
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
}

/// The error that `action` throws; fails the test if it throws none.
inline Error error_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    return error;
  }
  ADD_FAILURE() << "expected an Error";
  return {ErrorKind::internal, "nothing", "was thrown"};
}

/// A whole state whose every number follows from `update`, so that a mixture of two states is noticed.
inline Checkpoint checkpoint_at(std::int64_t update, std::int64_t width = 3) {
  Checkpoint c;
  c.config_text = "train.updates = 100\nrun.seed = " + std::to_string(update) + "\n";
  c.model_fingerprint = "0123abcd";
  c.twist_form = "mlp";
  c.objective = "ctl";
  c.update = update;
  c.seed = 0xFFFFFFFFFFFFFFF0u + static_cast<std::uint64_t>(update);
  for (const char* name : {"head.0.weight", "head.1.weight"}) {
    Array<float> array{{2, width}, {}};
    for (std::int64_t i = 0; i < 2 * width; ++i)
      array.values.push_back(static_cast<float>(update * 1000 + i) * 0.1F);
    c.parameters.emplace(name, array);
    c.adam_m.emplace(name, array);
    c.adam_v.emplace(name, array);
  }
  c.adam_step = update;
  c.exact_samples_path = "exact.h5";
  c.numbers = {{"loss", 0.1 * static_cast<double>(update)}};
  c.prompt = {update, 7};
  return c;
}

}  // namespace twistor::store::testing
