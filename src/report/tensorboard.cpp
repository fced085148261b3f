// SPDX-License-Identifier: Apache-2.0
// TensorBoard's event files as a sink: curves, distributions, texts, and the configuration as
// hyperparameters.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <nlohmann/json.hpp>
#include <utility>

#include "event_file.hpp"
#include "run_json.hpp"
#include "twistor/report/sink.hpp"

namespace twistor::report {
namespace {

using Json = nlohmann::json;

double clock_s() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

/// "evaluation.kl.q_sigma.mean" as "evaluation/kl.q_sigma.mean"; numbers by step stand by themselves.
std::string scalar_tag(std::string_view name, std::string_view prefix) {
  const std::string_view rest = name.substr(prefix.size() + 1);
  const std::string_view end = rest.substr(rest.rfind('.') + 1);
  const bool is_of_step = rest.size() > end.size() && !end.empty() &&
                          std::ranges::all_of(end, [](char c) { return c >= '0' && c <= '9'; });
  return fmt::format("{}{}/{}", prefix, is_of_step ? "_by_step" : "", rest);
}

void add_scalars(EventSummary& summary, const estimate::Evaluation& e, std::string_view prefix) {
  for (const auto& [name, value] : estimate::to_numbers(e, std::string(prefix)))
    summary.scalar(scalar_tag(name, prefix), value);
}

void add_distributions(EventSummary& summary, const estimate::Evaluation& e, std::string_view prefix) {
  using estimate::ProposalSample;
  summary.histogram(fmt::format("{}/q/log_phi", prefix), column(e.q, &ProposalSample::log_phi));
  summary.histogram(fmt::format("{}/q/log_weight", prefix), column(e.q, &ProposalSample::ratio));
  if (e.trace) summary.histogram(fmt::format("{}/sweep/log_weight", prefix), e.trace->log_weight);
}

/// A cell of a Markdown table that shows any text as it is.
std::string markdown_cell(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '<')
      out += "&lt;";
    else if (c == '&')
      out += "&amp;";
    else if (c == '\n' || c == '\r' || c == '\t')
      out += ' ';
    else
      out += (std::string_view("\\`*_{}[]()>#+-.!|").find(c) != std::string_view::npos ? "\\" : "") +
             std::string(1, c);
  }
  return out;
}

std::string parameter_text(const Json& value) {
  return value.is_string() ? value.get<std::string>() : value.dump();
}

/// google.protobuf.Value.
Message parameter_value(const Json& value) {
  if (value.is_boolean()) return Message().integer(4, value.get<bool>() ? 1 : 0);
  if (value.is_number()) return Message().real(2, value.get<double>());
  return Message().text(3, parameter_text(value));
}

int parameter_type(const Json& value) {
  constexpr int type_string = 1, type_bool = 2, type_float64 = 3;
  return value.is_boolean() ? type_bool : value.is_number() ? type_float64 : type_string;
}

/// What the hyperparameter page of TensorBoard needs; field numbers are those of its plugin_data.proto and
/// api.proto.
struct Parameters {
  Message infos;   // Experiment: what parameters there are,
  Message values;  // SessionStartInfo: and what this run has
};

Parameters parameters_of(const std::string& config_json) {
  Parameters out;
  const Json config = Json::parse(config_json);
  for (const auto& [section, keys] : config.items())
    for (const auto& [key, value] : keys.items()) {
      const std::string name = section + "." + key;
      out.infos.message(4, Message().text(1, name).integer(4, parameter_type(value)));
      out.values.message(1, Message().text(1, name).message(2, parameter_value(value)));
    }
  return out;
}

class EventFiles final : public Sink {
 public:
  EventFiles(const std::filesystem::path& folder, EventOptions options) : options_(std::move(options)) {
    if (options_.updates_done == 0) remove_event_files(folder);
    file_.emplace(folder);
    if (options_.updates_done.value_or(0) > 0) file_->restart(*options_.updates_done + 1);
  }

  void update(const Update& u) override {
    EventSummary summary;
    summary.scalar("update/loss", u.loss).scalar("update/log_z_hat", u.log_z_hat);
    for (const auto& [name, value] : u.numbers) summary.scalar("update/" + name, value);
    summary.scalar("update/skipped", u.is_skipped ? 1 : 0).scalar("update/seconds", u.seconds);
    file_->write(u.update, summary);
  }

  void evaluation(const estimate::Evaluation& e) override { write_evaluation(e); }

  void finished(const Run& run) override {
    if (!is_begun_) write_evaluation(*run.after);
    if (run.base != nullptr) write_beside(*run.base, "base");
    for (const NamedEvaluation& policy : run.policies) write_beside(policy.evaluation, policy.name);
    constexpr int status_success = 1;
    const Message end = Message().integer(1, status_success).real(2, clock_s());
    file_->write(0, hparams(EventSummary(), "_hparams_/session_end_info", 4, end));
  }

 private:
  void write_evaluation(const estimate::Evaluation& e) {
    EventSummary summary;
    if (!is_begun_) begin(summary, e);
    is_begun_ = true;
    add_scalars(summary, e, "evaluation");
    add_distributions(summary, e, "evaluation");
    if (e.trace) summary.markdown("evaluation/sweep/texts", heaviest_texts(*e.trace));
    file_->write(e.update, summary);
  }

  void write_beside(const estimate::Evaluation& e, std::string_view prefix) {
    EventSummary summary;
    add_scalars(summary, e, prefix);
    add_distributions(summary, e, prefix);
    file_->write(e.update, summary);
  }

  static EventSummary hparams(EventSummary summary, std::string_view tag, int field, const Message& content) {
    return summary.plugin(tag, "hparams", Message().message(field, content));
  }

  /// The configuration, and the estimates that tables show as what it leads to.
  void begin(EventSummary& summary, const estimate::Evaluation& e) const {
    Parameters parameters = parameters_of(options_.config_json);
    Message& experiment = parameters.infos;
    for (const estimate::NamedEstimate& estimate : e.estimates)
      if (estimate.row > 0 && estimate.is_made())
        experiment.message(
            5, Message()
                   .message(1, Message().text(2, fmt::format("evaluation/{}.mean", estimate.name)))
                   .text(3, estimate.title));
    summary = hparams(std::move(summary), "_hparams_/experiment", 2, experiment);
    summary = hparams(std::move(summary), "_hparams_/session_start_info", 3,
                      parameters.values.text(4, options_.name).real(5, clock_s()));
  }

  /// Equal texts once, those of most weight first.
  [[nodiscard]] std::string heaviest_texts(const estimate::SweepTrace& trace) const {
    constexpr std::size_t most = 12;
    struct Seen {
      double weight = 0, log_phi = 0;
    };
    std::map<std::string, Seen> seen;
    for (std::int64_t i = 0; i < trace.K; ++i) {
      const auto at = static_cast<std::size_t>(i);
      const auto ids =
          std::span(trace.tokens)
              .subspan(at * static_cast<std::size_t>(trace.T), static_cast<std::size_t>(trace.T));
      std::string text = options_.decode ? options_.decode(ids) : std::string();
      Seen& one = seen[text.empty() ? fmt::format("{}", fmt::join(ids, " ")) : std::move(text)];
      one.weight += std::exp(trace.log_weight[at]);
      one.log_phi = trace.log_phi[at];
    }
    std::vector<std::pair<std::string, Seen>> order(seen.begin(), seen.end());
    std::ranges::stable_sort(order, std::greater<>{}, [](const auto& one) { return one.second.weight; });
    std::string out = "| weight | log phi | text |\n|---:|---:|:---|\n";
    for (const auto& [text, one] : std::span(order).first(std::min(most, order.size())))
      out += fmt::format("| {:.3f} | {:.4f} | {} |\n", one.weight, one.log_phi, markdown_cell(text));
    return out;
  }

  EventOptions options_;
  std::optional<EventFile> file_;
  bool is_begun_ = false;  // the first evaluation is written, and the configuration with it
};

}  // namespace

std::unique_ptr<Sink> event_files(const std::filesystem::path& folder, EventOptions options) {
  return std::make_unique<EventFiles>(folder, std::move(options));
}

}  // namespace twistor::report
