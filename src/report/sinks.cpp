// SPDX-License-Identifier: Apache-2.0
// Everybody who is told what a run finds.
#include <fmt/format.h>

#include <utility>

#include "twistor/report/html_report.hpp"
#include "twistor/report/json_line.hpp"
#include "twistor/report/sink.hpp"
#include "twistor/store/version.hpp"

namespace twistor::report {

std::string name_of_after(const Run& run) {
  if (!run.after_name.empty()) return run.after_name;
  if (run.is_computed) return "computed";
  return run.after->update == 0 ? "untrained" : fmt::format("after {} updates", run.after->update);
}

Sinks sinks_of_run(const std::filesystem::path& folder, SinkOptions options) {
  Sinks sinks;
  const std::optional<std::int64_t>& done = options.updates_done;
  if (done) {
    write_text_atomically(
        (folder / "config.cfg").string(),
        fmt::format("# The configuration of a run of {}.\n{}", store::program_name(), options.config_text));
    sinks.add(json_lines(folder / "metrics.jsonl", *done > 0 ? done : std::nullopt));
  }
  if (options.events) {
    options.events->updates_done = done;
    sinks.add(event_files(folder / "tensorboard", *std::move(options.events)));
  }
  sinks.add(results_file(folder / "results.h5"));
  sinks.add(summary_file(folder / "summary.json"));
  sinks.add(prompt_files(folder));
  sinks.add(grid_files(folder));
  sinks.add(html_file(folder));
  sinks.add(console_table());
  return sinks;
}

}  // namespace twistor::report
