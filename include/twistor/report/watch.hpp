// SPDX-License-Identifier: Apache-2.0
// How far a run has come, from the files in its folder while it writes them: for `twistor watch`.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace twistor::report {

/// Numbers as a line of eight heights, from the least to the greatest; blanks for those that are not finite.
/// At most `width` characters: means of neighbours where there are more numbers. *Local.*
[[nodiscard]] std::string sparkline(const std::vector<double>& values, std::size_t width);

/// Follows metrics.jsonl of a run. *Local.*
class RunWatch {
 public:
  /// `wanted` says how many updates there will be, 0 (as without it) where that is not known. Throws
  /// Error(no_input) if there is no such folder.
  explicit RunWatch(std::filesystem::path folder, std::function<std::int64_t()> wanted = {});
  ~RunWatch();

  /// Reads what is new; false if nothing is.
  bool look();

  [[nodiscard]] std::int64_t updates() const;  ///< done so far
  [[nodiscard]] std::int64_t wanted() const;   ///< in all; 0 where that is not known
  /// Whether summary.json holds what the run has found after all that metrics.jsonl says.
  [[nodiscard]] bool is_finished() const;
  /// Who writes in the folder; empty if nobody does.
  [[nodiscard]] std::string writer() const;

  /// All of it in lines of at most so many characters, each ended by a line end.
  [[nodiscard]] std::string picture(std::size_t columns) const;
  /// The same in one line.
  [[nodiscard]] std::string line() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

struct WatchOptions {
  std::function<std::int64_t()> wanted = {};  ///< as RunWatch's
  bool is_once = false;                       ///< show what there is, and end
  int descriptor = 1;  ///< stdout; a terminal shows a picture that changes, anything else whole lines
  double every_s = 1;  ///< between looks at the files
};

/// Shows a run until nobody writes in its folder any more, and then its last picture. Returns whether the run
/// is finished. *Local.* Throws as RunWatch.
bool watch(const std::filesystem::path& folder, const WatchOptions& options);

}  // namespace twistor::report
