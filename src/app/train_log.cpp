// SPDX-License-Identifier: Apache-2.0
// Reports of updates and evaluations.
#include "twistor/app/train_log.hpp"

#include "twistor/app/evaluation.hpp"
#include "twistor/base/log.hpp"

namespace twistor::app {

TrainLog::TrainLog(const run::Session& session, std::int64_t n_updates) : session_(session) {
  counters_.sums["skipped_updates"] = 0;  // said also by a run that finds nothing left to learn
  sinks_ = make_sinks(session_, n_updates);
}

void TrainLog::updated(const learn::UpdateReport& report, std::int64_t n_updates, double seconds) {
  count(report);
  if (session_.is_root() && !report.skipped.empty() && !has_warned_)
    log_warning("an update was skipped: " + report.skipped);
  has_warned_ |= !report.skipped.empty();
  const std::int64_t wanted = session_.config().train.updates;
  const report::Update update{n_updates, report.loss, report.log_z, report.numbers, !report.skipped.empty(),
                              seconds};
  if (!progress_) progress_.emplace(session_.progress());
  progress_->update(report::to_line(update, wanted), {n_updates, wanted});
  sinks_.update(update);
}

void TrainLog::count(const learn::UpdateReport& report) {
  counters_.add(report.times.sweep);
  counters_.add(report.times);
  // Every rank skips alike: counted once, on the first.
  counters_.sums["skipped_updates"] += session_.is_root() && !report.skipped.empty() ? 1 : 0;
}

void TrainLog::evaluated(const estimate::Evaluation& evaluation) {
  count(evaluation);
  sinks_.evaluation(evaluation);
}

}  // namespace twistor::app
