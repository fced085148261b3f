// SPDX-License-Identifier: Apache-2.0
// What metrics.jsonl says of the course of a run, also while it grows. Private to the report room.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "svg_chart.hpp"

namespace twistor::report {

/// The updates and evaluations of metrics.jsonl; nothing where there is none. *Local.*
class Course {
 public:
  explicit Course(std::filesystem::path metrics) : file_(std::move(metrics)) { read_on(); }

  /// Reads the lines that have come since; all of them where the file has been replaced. Returns whether
  /// there is anything new.
  bool read_on();

  [[nodiscard]] const std::vector<nlohmann::json>& updates() const { return updates_; }
  [[nodiscard]] const std::vector<nlohmann::json>& evaluations() const { return evaluations_; }

  /// An estimate of the evaluations over updates, "evaluation.kl.q_sigma" for instance, with its interval.
  [[nodiscard]] Series evaluated(std::string name, const std::string& estimate, bool is_dashed = false) const;
  /// A number of the updates; means of neighbours where there are more than `most`.
  [[nodiscard]] Series updated(std::string name, const char* key, std::size_t most = 300) const;

 private:
  std::filesystem::path file_;
  std::uintmax_t n_read_ = 0;  // bytes, to the end of the last whole line
  std::uint64_t file_id_ = 0;  // of the file that was read
  std::vector<nlohmann::json> evaluations_, updates_;
};

}  // namespace twistor::report
