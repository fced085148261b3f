// SPDX-License-Identifier: Apache-2.0
// Folders, bytes and small checkpoints for the tests of stored files.
#pragma once

#include <cstddef>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <span>
#include <string>
#include <vector>

#include "support/error_of.hpp"
#include "support/temporary_folder.hpp"
#include "twistor/store/checkpoint.hpp"

namespace twistor::store::testing {

namespace fs = std::filesystem;

using test::error_of;
using test::TemporaryFolder;

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
    c.holdout_best.emplace(name, array);
  }
  c.adam_step = update;
  c.exact_samples_path = "exact.h5";
  c.learned_samples = "0123abcd";
  c.numbers = {{"loss", 0.1 * static_cast<double>(update)}};
  c.prompt = {update, 7};
  c.round_tokens = {4, update, 5, 6};
  c.round_log_w = {-1.5, -0.25};
  c.round_log_phi = {0, -0.5};
  c.holdout_tokens = {9, update};
  c.holdout_log_w = {-0.75};
  c.holdout_scores = {-3, -2, 4, 1};
  return c;
}

}  // namespace twistor::store::testing
