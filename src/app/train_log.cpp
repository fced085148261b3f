// Reports of updates and evaluations.
#include "twistor/app/train_log.hpp"

#include <fmt/format.h>

#include <string>

#include "twistor/app/evaluation.hpp"
#include "twistor/base/log.hpp"

namespace twistor::app {

TrainLog::TrainLog(const Session& session, std::int64_t n_updates) : session_(session) {
  counters_.sums["skipped_updates"] = 0;  // said also by a run that finds nothing left to learn
  sinks_ =
      make_sinks(session_, session_.is_root()
                               ? report::json_lines(session_.output("metrics.jsonl"),
                                                    n_updates > 0 ? std::optional(n_updates) : std::nullopt)
                               : nullptr);
}

void TrainLog::updated(const learn::UpdateReport& report, std::int64_t n_updates, double seconds) {
  count(report);
  if (session_.is_root() && !report.skipped.empty() && !has_warned_)
    log_warning("an update was skipped: " + report.skipped);
  has_warned_ |= !report.skipped.empty();
  const std::int64_t wanted = session_.config().train.updates;
  std::string text =
      fmt::format("update {} of {}  loss {:.4f}  log Z {:.3f}", n_updates, wanted, report.loss, report.log_z);
  for (const auto& [name, value] : report.numbers) text += fmt::format("  {} {:.1f}", name, value);
  if (!progress_) progress_.emplace(session_.progress());
  progress_->update(fmt::format("{}  {:.3f} s each", text, seconds), {n_updates, wanted});
  sinks_.update({.update = n_updates,
                 .loss = report.loss,
                 .log_z_hat = report.log_z,
                 .numbers = report.numbers,
                 .is_skipped = !report.skipped.empty(),
                 .seconds = seconds});
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
