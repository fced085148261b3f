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
#include "run_json.hpp"

namespace twistor::report {
namespace {

using Json = nlohmann::json;

/// An estimate with its error, or the bound that is known alone, as in the table on the console; what stands
/// between it and its range.
std::string estimate_cell(const Json& e, std::string_view before_range = "<br>") {
  if (!e.is_object()) return "–";
  const std::string note = at(e, {"note"}).is_string() ? text_of(at(e, {"note"})) : std::string{};
  if (note == "lower bound") return "≥ " + html_number(at(e, {"low"}));
  if (note == "upper bound") return "≤ " + html_number(at(e, {"high"}));
  std::string out = html_number(at(e, {"mean"}));
  if (out == "–") return out;
  const bool has_error = std::isfinite(number_of(at(e, {"mean"}))) && std::isfinite(number_of(at(e, {"se"})));
  if (note != "exact" && has_error) out += " ± " + html_number(at(e, {"se"}));
  if (!note.empty()) out += fmt::format(" <small>{}</small>", html(note));
  const double low = number_of(at(e, {"low"})), high = number_of(at(e, {"high"}));
  if (std::isfinite(low) && low < high)
    out += fmt::format("{}<small>in [{}, {}]</small>", before_range, html_number(at(e, {"low"})),
                       html_number(at(e, {"high"})));
  return out;
}

std::string log_z_cell(const Json& evaluation) {
  const Json& z = at(evaluation, {"log_z", "estimate"});
  std::string out = html_number(at(z, {"value"}));
  if (number_of(at(z, {"se"})) > 0) out += " ± " + html_number(at(z, {"se"}));
  if (const Json& method = at(z, {"method"}); method.is_string())
    out += fmt::format("<br><small>{}</small>", html(text_of(method)));
  return out;
}

enum class Trust { good, fair, bad };

/// How far to believe the numbers, by the distance of the bounds, the weights and the checks.
std::pair<Trust, std::string> trust_in(const Json& summary) {
  constexpr double tight = 0.1, loose = 1, few = 0.1;
  const Bounds bounds = best_bounds(summary);
  const double ess = number_of(at(summary, {"ess", "final"}));
  const double particles = particles_of(summary);
  if (number_of(at(summary, {"log_q_error", "largest"})) > 1e-3)
    return {Trust::bad, "log q while sampling and afterwards differ: something is wrong with the model."};
  if (const double missed = number_of(at(summary, {"log_z", "missed_by_smc"})); missed > 0)
    return {
        Trust::bad,
        fmt::format("Populations that resample miss a part of the target: runs without resampling show that "
                    "log Z lies at least {:.4f} nats above the 95 % interval of their mean. More particles "
                    "or updates help, or smc.trigger = never.",
                    missed)};
  if (std::isnan(bounds.high))
    return {
        Trust::fair,
        "There are no exact samples, so there is no upper bound: whether the sampler misses a part of the "
        "target cannot be seen from this run."};
  std::string text =
      bounds.gap() < 0
          ? fmt::format("The tighter bounds of log Z cross by {:.4f} nats, with an error of {:.4f}: ",
                        -bounds.gap(), bounds.se)
          : fmt::format("The tighter bounds of log Z are {:.4f} nats apart: ", bounds.gap());
  const Trust trust = bounds.width() < tight   ? Trust::good
                      : bounds.width() < loose ? Trust::fair
                                               : Trust::bad;
  const bool is_exact = !std::isnan(number_of(at(summary, {"log_z", "exact"})));
  if (trust == Trust::good)
    text += "the sampler is close to the target, and its numbers can be trusted to about that.";
  else if (trust == Trust::fair)
    text += is_exact ? "the sampler is near the target."
                     : "the sampler is near the target; take log Z as an interval.";
  else
    text +=
        is_exact
            ? "the sampler is far from the target. More updates or particles bring it nearer."
            : "the sampler is far from the target; only the interval of log Z is certain. More updates or "
              "particles make it narrower.";
  if (ess < few * particles)
    return {
        std::max(trust, Trust::fair),
        text + fmt::format(" Few particles carry the weight at the end: {:.1f} of {:.0f}.", ess, particles)};
  return {trust, text};
}

/// "P(event) = ..." where phi tells an event.
std::string probability_of(const Json& summary) {
  const Json& p = at(summary, {"probability"});
  if (!p.is_object()) return {};
  std::string out = fmt::format("<p>P(event) = {}", html_number(at(p, {"value"}), "{:.3g}"));
  const double low = number_of(at(p, {"low"})), high = number_of(at(p, {"high"}));
  if (std::isfinite(low) && low < high)
    out += fmt::format(", {:.0f} % interval {} to {}", 100 * number_of(at(p, {"level"})),
                       html_number(at(p, {"low"}), "{:.3g}"), html_number(at(p, {"high"}), "{:.3g}"));
  return out + "</p>\n";
}

}  // namespace

std::string html_number(const Json& value, const char* form) {
  const double x = number_of(value);
  if (std::isnan(x)) return "–";
  if (std::isinf(x)) return x > 0 ? "∞" : "−∞";
  return fmt::format("<data value=\"{}\">{}</data>", x, fmt::format(fmt::runtime(form), x));
}

std::string html_number(double x, const char* form, std::string_view style) {
  if (!std::isfinite(x))
    return fmt::format("<span class=\"{}\">{}</span>", style, std::isnan(x) ? "–" : x > 0 ? "∞" : "−∞");
  return fmt::format("<data class=\"{}\" value=\"{}\">{}</data>", style, x,
                     fmt::format(fmt::runtime(form), x));
}

namespace {

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

/// Where learning started from psi = 1, base and before are one and the same.
std::vector<Column> columns_of(const Json& summary) {
  std::vector<Column> columns;
  const Json &base = at(summary, {"base"}), &before = at(summary, {"before"});
  const bool is_one = base.is_object() && before == base;
  if (base.is_object()) columns.push_back({is_one ? "base model, before learning" : "base model", &base});
  if (before.is_object() && !is_one) columns.push_back({"before learning", &before});
  if (!is_policy(summary)) columns.push_back({name_of_twist(summary), &summary});
  for (const char* group : {"checkpoints", "policies"})
    if (const Json& others = at(summary, {group}); others.is_object())
      for (const auto& [name, evaluation] : others.items()) columns.push_back({name, &evaluation});
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
    log_z.push_back(log_z_cell(*column.evaluation));
    ess.push_back(html_number(at(*column.evaluation, {"ess", "final"}), "{:.1f}"));
  }
  std::vector<std::vector<std::string>> cells{log_z};
  for (const Row& row : rows) {
    cells.push_back({row.title});
    for (const Column& column : columns)
      cells.back().push_back(estimate_cell(at(*column.evaluation, {row.section, row.name})));
  }
  cells.push_back(ess);
  return html_table(header, cells) +
         "<p class=\"soft\">± is one standard error; a range in brackets is what the bounds of log Z leave "
         "open; "
         "a dash is what is not known. σ is the target, p0 φ / Z, and q the sampler.</p>\n";
}

std::string html_verdict(const Json& summary) {
  const auto [trust, words] = trust_in(summary);
  constexpr const char* names[] = {"good", "fair", "bad"};
  const std::string log_z = verdict_of(summary);
  const Json& exact = at(summary, {"log_z", "exact"});
  std::string out =
      fmt::format("<div class=\"verdict {}\" role=\"note\">\n<p><strong>", names[static_cast<int>(trust)]);
  out += std::isnan(number_of(exact)) ? html(log_z) : fmt::format("log Z = {}, exactly", html_number(exact));
  out += fmt::format(".</strong> {}</p>\n", html(words));
  for (const char* what : {"observations", "prompts"})
    if (const Json& n = at(summary, {what}); n.is_number())
      out += fmt::format("<p>All numbers are means over the targets of {} {}.</p>\n", n.dump(), what);
  if (const double n_seeds = number_of(at(summary, {"seeds"})); n_seeds > 1)
    out += fmt::format("<p>All numbers are means over {:.0f} seeds, at the last K of sweep.particles.</p>\n",
                       n_seeds);
  out += probability_of(summary);
  const Json &policies = at(summary, {"policies"}), &q = at(summary, {"kl", "q_sigma"}),
             &base = at(summary, {"base", "kl", "q_sigma"});
  if (q.is_object() && base.is_object())
    out += fmt::format("<p>KL(q ‖ σ): {} with the base model, {} with {}.</p>\n", estimate_cell(base, " "),
                       estimate_cell(q, " "),
                       is_policy(summary) && policies.is_object() && !policies.empty()
                           ? html(policies.items().begin().key())
                           : "this sampler");
  return out + "</div>\n";
}

}  // namespace twistor::report
