// SPDX-License-Identifier: Apache-2.0
// Paths: what is expanded, where inputs are looked for, and what a missing one is told.
#include "twistor/config/paths.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>

#include "support/error_of.hpp"
#include "twistor/base/error.hpp"

namespace twistor::config {
namespace {

using test::error_of;
using testing::HasSubstr;
namespace fs = std::filesystem;

const fs::path source_dir = TWISTOR_SOURCE_DIR;

/// Sets a variable of the environment back when it goes: other tests look for the cache.
class Restored {
 public:
  explicit Restored(const char* name) : name_(name) {
    if (const char* value = std::getenv(name)) value_ = value;
  }
  Restored(const Restored&) = delete;
  Restored& operator=(const Restored&) = delete;
  ~Restored() { value_ ? setenv(name_, value_->c_str(), 1) : unsetenv(name_); }

 private:
  const char* name_;
  std::optional<std::string> value_;
};

TEST(Paths, AreExpandedAndLookedForInTwoPlaces) {
  const Restored cache("TWISTOR_CACHE"), home("HOME");
  setenv("TWISTOR_CACHE", "/some/cache", 1);
  EXPECT_EQ(output_path("${TWISTOR_CACHE}/models/x"), "/some/cache/models/x");
  unsetenv("TWISTOR_CACHE");
  setenv("HOME", "/home/someone", 1);
  EXPECT_EQ(output_path("${TWISTOR_CACHE}/x"), "/home/someone/.cache/twistor/x");
  EXPECT_EQ(output_path("~/x"), "/home/someone/x");
  EXPECT_EQ(output_path("a~/x"), "a~/x");
  EXPECT_EQ(error_of([] { (void)output_path("${OTHER}/x"); }).kind(), ErrorKind::config);

  const fs::path config_file = source_dir / "configs/reference.cfg";
  const fs::path here = fs::current_path();
  fs::current_path(
      fs::temp_directory_path());  // from elsewhere, the folder above the configuration's is next
  EXPECT_EQ(input_path("configs/reference.cfg", config_file, "model.path"), config_file);
  fs::current_path(source_dir);
  EXPECT_EQ(input_path("configs/reference.cfg", config_file, "model.path"), "configs/reference.cfg");
  fs::current_path(here);
  EXPECT_EQ(input_path(config_file.string(), config_file, "model.path"), config_file);
  const Error error = error_of([&] { (void)input_path("no/such", config_file, "model.path"); });
  EXPECT_EQ(error.kind(), ErrorKind::no_input);
  EXPECT_THAT(error.what(), HasSubstr("model.path = no/such"));
  EXPECT_THAT(error.what(), HasSubstr((source_dir / "no/such").string()));
}

TEST(Paths, AMissingModelOfTheCacheNamesTheCommandThatFetchesIt) {
  const Restored cache("TWISTOR_CACHE");
  setenv("TWISTOR_CACHE", "/nowhere", 1);
  const auto hint = [](const std::string& value) {
    return error_of([&] { (void)input_path(value, "configs/x.cfg", "model.path"); }).hint();
  };
  EXPECT_EQ(hint("${TWISTOR_CACHE}/models/smollm2/x.gguf"), "launch/get_model.sh smollm2 fetches it");
  EXPECT_EQ(hint("${TWISTOR_CACHE}/models/minilm"), "launch/get_model.sh minilm fetches it");
  EXPECT_THAT(hint("${TWISTOR_CACHE}/models/toxicity-roberta"), HasSubstr("put it there yourself"));
  EXPECT_EQ(hint("/nowhere/models/smollm2"), "is the path right?");

  // The names are those of the script's table: "table='NAME|..." and lines that begin with "NAME|".
  std::ifstream script(source_dir / "launch/get_model.sh");
  std::vector<std::string> names;
  for (std::string line; std::getline(script, line);) {
    const std::string prefix = "table='";
    if (line.starts_with(prefix)) line = line.substr(prefix.size());
    const std::size_t bar = line.find('|');
    const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'; };
    if (bar != std::string::npos && bar > 0 &&
        std::all_of(line.begin(), line.begin() + static_cast<long>(bar), letter))
      names.push_back(line.substr(0, bar));
  }
  EXPECT_THAT(names,
              testing::UnorderedElementsAreArray(std::begin(fetched_models), std::end(fetched_models)));
}

}  // namespace
}  // namespace twistor::config
