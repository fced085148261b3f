// SPDX-License-Identifier: Apache-2.0
// metrics.jsonl as a sink.
#include <fmt/format.h>

#include "twistor/report/metrics.hpp"
#include "twistor/report/sink.hpp"

namespace twistor::report {
namespace {

class JsonLines final : public Sink {
 public:
  JsonLines(const std::filesystem::path& file, std::optional<std::int64_t> keep_until_update)
      : writer_(file, keep_until_update) {}

  void update(const Update& u) override {
    JsonLine line;
    line.add("update", u.update).add("loss", u.loss).add("log_z_hat", u.log_z_hat);
    for (const auto& [name, value] : u.numbers) line.add(name, value);
    line.add("skipped", u.is_skipped).add("seconds", u.seconds);
    writer_.write(line);
  }

  void evaluation(const estimate::Evaluation& e) override {
    JsonLine line;
    line.add("update", e.update).add("event", "evaluation").add_all(estimate::to_numbers(e, "evaluation"));
    line.add("evaluation.log_z.estimate.method", name_of(e.log_z.method));
    writer_.write(line);
  }

 private:
  MetricsWriter writer_;
};

}  // namespace

std::string to_line(const Update& update, std::int64_t n_updates) {
  std::string text = fmt::format("update {} of {}  loss {:.4f}  log Z {:.3f}", update.update, n_updates,
                                 update.loss, update.log_z_hat);
  for (const auto& [name, value] : update.numbers) text += fmt::format("  {} {:.1f}", name, value);
  return text + fmt::format("  {:.3f} s each", update.seconds);
}

std::unique_ptr<Sink> json_lines(const std::filesystem::path& file,
                                 std::optional<std::int64_t> keep_until_update) {
  return std::make_unique<JsonLines>(file, keep_until_update);
}

}  // namespace twistor::report
