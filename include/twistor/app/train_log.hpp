// SPDX-License-Identifier: Apache-2.0
// What learning tells while it runs: sinks, progress line, counters, warnings.
#pragma once

#include <cstdint>
#include <optional>

#include "twistor/base/counters.hpp"
#include "twistor/estimate/evaluation.hpp"
#include "twistor/learn/trainer.hpp"
#include "twistor/report/progress.hpp"
#include "twistor/report/sink.hpp"
#include "twistor/run/session.hpp"

namespace twistor::app {

/// Every rank counts, rank 0 tells. *Local.*
class TrainLog {
 public:
  /// After `n_updates` updates of an earlier run: what metrics.jsonl says of later ones is removed. `session`
  /// must outlive this.
  TrainLog(const run::Session& session, std::int64_t n_updates);

  void updated(const learn::UpdateReport& report, std::int64_t n_updates, double seconds);
  void evaluated(const estimate::Evaluation& evaluation);
  /// Of an evaluation that is not of this run's twist.
  void count(const estimate::Evaluation& evaluation) { counters_.add(evaluation.counters); }
  /// Ends the progress line: something else is going to be shown.
  void pause() { progress_.reset(); }

  [[nodiscard]] const Counters& counters() const { return counters_; }
  [[nodiscard]] report::Sinks& sinks() { return sinks_; }

 private:
  void count(const learn::UpdateReport& report);

  const run::Session& session_;
  Counters counters_;
  report::Sinks sinks_;
  std::optional<report::ProgressLine> progress_;
  bool has_warned_ = false;
};

}  // namespace twistor::app
