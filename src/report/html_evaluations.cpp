// SPDX-License-Identifier: Apache-2.0
// The verdict and the table of evaluations.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "html_parts.hpp"
#include "html_text.hpp"
#include "json_value.hpp"
#include "place.hpp"
#include "run_json.hpp"
#include "verdict.hpp"

namespace twistor::report {
namespace {

using Json = nlohmann::json;

/// A bound of log Z is one on average: a single estimate may lie beyond log Z, and what does so by more than
/// the standard errors is said to.
std::string bound_cell(const Place& evaluation, const char* name) {
  const Place bound = evaluation.at({"log_z", name}), z = evaluation.at({"log_z", "estimate"});
  const double sign = std::string_view(name).ends_with("_lower") ? 1 : -1;
  const double beyond = sign * (number_of(*bound.at({"mean"})) - number_of(*z.at({"value"})));
  const auto error = [](const Place& e) { return std::max(0.0, number_of(*e.at({"se"}))); };  // 0 for NaN
  std::string out = html_estimate(bound);
  if (std::isfinite(beyond) && beyond > std::max(1e-3, std::hypot(error(bound), error(z))))
    out += fmt::format("<br><small>{} log Z: a bound holds on average</small>", sign > 0 ? "above" : "below");
  return out;
}

std::string log_z_cell(const Place& z) {
  std::string out = html_number(z.at({"value"}));
  if (number_of(*z.at({"se"})) > 0) out += " ± " + html_number(z.at({"se"}));
  if (const Place method = z.at({"method"}); method->is_string())
    out += fmt::format("<br><small>{}</small>", html(text_of(*method)));
  return out;
}

/// "P(event) = ..." where phi tells an event.
std::string probability_of(const Place& p) {
  if (!p->is_object()) return {};
  const Place low = p.at({"low"}), high = p.at({"high"});
  std::string out = fmt::format("<p>P(event) = {}", html_number(p.at({"value"}), "{:.3g}"));
  if (std::isfinite(number_of(*low)) && number_of(*low) < number_of(*high))
    out += fmt::format(", {:.0f} % interval {} to {}", 100 * number_of(*p.at({"level"})),
                       html_number(low, "{:.3g}"), html_number(high, "{:.3g}"));
  return out + "</p>\n";
}

std::string rounded(double x, const char* form) {
  return fmt::format(fmt::runtime(form), x);
}

/// A number with its attributes and its text, or what stands for it.
std::string shown(double x, const std::string& text, const std::string& attributes) {
  if (!std::isfinite(x))
    return fmt::format("<span{}>{}</span>", attributes, std::isnan(x) ? "–" : x > 0 ? "∞" : "−∞");
  return fmt::format("<data{} value=\"{}\">{}</data>", attributes, x, text);
}

/// Whether the evaluation at the top is that of the first policy.
bool is_policy(const Json& summary) {
  return at(summary, {"config", "smc", "proposal"}) == "policy";
}

/// As the summary says; those of earlier builds say no more than how many updates there were.
std::string name_of_twist(const Json& summary) {
  const Json& name = at(summary, {"twist"});
  return name.is_string() ? text_of(name) : fmt::format("after {} updates", at(summary, {"updates"}).dump());
}

}  // namespace

std::string html_number(const Place& place, const char* form) {
  return html_number_as(place, rounded(number_of(*place), form));
}

std::string html_number_as(const Place& place, const std::string& text) {
  const double x = number_of(*place);
  return std::isnan(x) ? "–" : shown(x, text, fmt::format(" data-from=\"{}\"", html(place.way())));
}

std::string html_number(double x, const char* form, std::string_view style, std::string_view from) {
  return shown(x, rounded(x, form), fmt::format(" class=\"{}\" data-from=\"{}\"", style, html(from)));
}

std::string html_estimate(const Place& e, std::string_view before_range) {
  if (!e->is_object()) return "–";
  const Place mean = e.at({"mean"}), se = e.at({"se"}), low = e.at({"low"}), high = e.at({"high"});
  const std::string note = e.at({"note"})->is_string() ? text_of(*e.at({"note"})) : std::string{};
  if (note == "lower bound") return "≥ " + html_number(low);
  if (note == "upper bound") return "≤ " + html_number(high);
  std::string out = html_number(mean);
  if (out == "–") return out;
  const bool has_error = std::isfinite(number_of(*mean)) && std::isfinite(number_of(*se));
  if (note != "exact" && has_error) out += " ± " + html_number(se);
  if (!note.empty()) out += fmt::format(" <small>{}</small>", html(note));
  if (std::isfinite(number_of(*low)) && number_of(*low) < number_of(*high))
    out += fmt::format("{}<small>in [{}, {}]</small>", before_range, html_number(low), html_number(high));
  return out;
}

/// Where learning started from psi = 1, base and before are one and the same.
std::vector<Column> columns_of(const Json& summary) {
  std::vector<Column> columns;
  const Place top(summary), base = top.at({"base"}), before = top.at({"before"});
  const bool is_one = base->is_object() && *before == *base;
  if (base->is_object()) columns.push_back({is_one ? "base model, before learning" : "base model", base});
  if (before->is_object() && !is_one) columns.push_back({"before learning", before});
  if (!is_policy(summary)) columns.push_back({name_of_twist(summary), top});
  for (const char* group : {"checkpoints", "policies"})
    if (const Place others = top.at({group}); others->is_object())
      for (const auto& [name, evaluation] : others->items())
        columns.push_back({name, others.at({name.c_str()})});
  return columns;
}

std::string html_evaluations(const Json& summary) {
  struct Row {
    const char *title, *section, *name;
  };
  constexpr Row rows[] = {{"SMC lower bound of log Z", "log_z", "smc_lower"},
                          {"SMC upper bound of log Z", "log_z", "smc_upper"},
                          {"importance sampling, lower bound", "log_z", "sis_lower"},
                          {"importance sampling, upper bound", "log_z", "sis_upper"},
                          {"KL(q ‖ σ), nats", "kl", "q_sigma"},
                          {"KL(σ ‖ q), nats", "kl", "sigma_q"},
                          {"E log φ under q", "proposal", "log_phi"},
                          {"KL(q ‖ p0), nats", "proposal", "kl_q_p0"}};
  const std::vector<Column> columns = columns_of(summary);
  std::vector<std::string> header{""}, log_z{"log Z"}, ess{"effective sample size at the end"};
  for (const Column& column : columns) {
    header.push_back(html(column.name));
    log_z.push_back(log_z_cell(column.evaluation.at({"log_z", "estimate"})));
    ess.push_back(html_number(column.evaluation.at({"ess", "final"}), "{:.1f}"));
  }
  std::vector<std::vector<std::string>> cells{log_z};
  for (const Row& row : rows) {
    cells.push_back({row.title});
    for (const Column& column : columns)
      cells.back().push_back(std::string_view(row.section) == "log_z"
                                 ? bound_cell(column.evaluation, row.name)
                                 : html_estimate(column.evaluation.at({row.section, row.name})));
  }
  cells.push_back(ess);
  return html_table(header, cells) +
         "<p class=\"soft\">± is one standard error; a range in brackets is what the bounds of log Z leave "
         "open; "
         "a dash is what is not known. σ is the target, p0 φ / Z; q writes one text, the model with ψ at "
         "each token.</p>\n";
}

std::string html_verdict(const Json& summary) {
  const Verdict verdict = verdict_on(summary);
  constexpr const char* names[] = {"good", "fair", "bad"};
  const Place top(summary), exact = top.at({"log_z", "exact"});
  std::string out = fmt::format("<div class=\"verdict {}\" role=\"note\">\n<p><strong>",
                                names[static_cast<int>(verdict.trust)]);
  out += std::isnan(number_of(*exact)) ? html(verdict_of(summary))
                                       : fmt::format("log Z = {}, exactly", html_number(exact));
  out += fmt::format(".</strong> {}</p>\n", html(verdict.words));
  for (const char* what : {"observations", "prompts"})
    if (const Json& n = at(summary, {what}); n.is_number())
      out += fmt::format("<p>All numbers are means over the targets of {} {}.</p>\n", n.dump(), what);
  if (const double n_seeds = number_of(at(summary, {"seeds"})); n_seeds > 1)
    out += fmt::format("<p>All numbers are means over {:.0f} seeds, at the last K of sweep.particles.</p>\n",
                       n_seeds);
  out += probability_of(top.at({"probability"}));
  const Json& policies = at(summary, {"policies"});
  const Place q = top.at({"kl", "q_sigma"}), base = top.at({"base", "kl", "q_sigma"});
  if (q->is_object() && base->is_object())
    out += fmt::format("<p>KL(q ‖ σ): {} with the base model, {} with {}.</p>\n", html_estimate(base, " "),
                       html_estimate(q, " "),
                       is_policy(summary) && policies.is_object() && !policies.empty()
                           ? html(policies.items().begin().key())
                           : "the twist");
  return out + "</div>\n";
}

}  // namespace twistor::report
