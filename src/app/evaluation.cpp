// Evaluations: run, stored, shown.
#include "twistor/app/evaluation.hpp"

#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "twistor/app/signals.hpp"
#include "twistor/app/unfinished.hpp"
#include "twistor/base/error.hpp"
#include "twistor/base/stopwatch.hpp"
#include "twistor/comm/environment.hpp"
#include "twistor/report/json_line.hpp"
#include "twistor/report/progress.hpp"
#include "twistor/report/table.hpp"
#include "twistor/store/version.hpp"

namespace twistor::app {
namespace {

using estimate::Estimate;
constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

/// The estimates of an evaluation under the names of summary.json.
template <class E, class Visit>
void for_each_estimate(E& e, Visit visit) {
  visit("log_z.sis_lower", e.bounds.sis_lower);
  visit("log_z.sis_upper", e.bounds.sis_upper);
  visit("log_z.smc_lower", e.bounds.smc_lower);
  visit("log_z.smc_upper", e.bounds.smc_upper);
  visit("kl.q_sigma", e.kl.q_sigma);
  visit("kl.sigma_q", e.kl.sigma_q);
  visit("kl.symmetrised", e.kl.symmetrised);
  visit("proposal.f_q", e.proposal.f_q);
  visit("proposal.g_q", e.proposal.g_q);
  visit("proposal.log_phi", e.proposal.log_phi);
  visit("proposal.kl_q_p0", e.proposal.kl_q_p0);
}

report::Estimate for_report(const Estimate& e) {
  return {e.mean, e.se, e.n};
}

/// {"log_z": {...}, "kl": {...}, ...} of one evaluation; estimates that could not be made are null.
void add_estimates(report::JsonLine& json, const Evaluation& e) {
  std::map<std::string, report::JsonLine> sections;
  sections["log_z"].add_json("exact", report::json_number(e.exact_log_z));
  for_each_estimate(e, [&](const std::string& name, const Estimate& estimate) {
    const std::size_t dot = name.find('.');
    report::JsonLine& section = sections[name.substr(0, dot)];
    if (estimate.n == 0) {
      section.add_json(name.substr(dot + 1), "null");
    } else {
      section.add(name.substr(dot + 1), for_report(estimate));
    }
  });
  sections["log_z"].add("genealogical_variance", e.bounds.genealogical_variance);
  for (const char* name : {"log_z", "kl", "proposal"}) json.add(name, sections[name]);
  json.add("ess", report::JsonLine()
                      .add("final", e.bounds.mean_final_ess)
                      .add("per_step", std::span<const double>(e.bounds.mean_ess)));
  json.add("seconds", e.seconds);
}

std::string cell(const Estimate& e) {
  if (e.n == 0) return "-";
  return std::isnan(e.se) ? fmt::format("{:.4f}", e.mean) : fmt::format("{:.4f} ± {:.4f}", e.mean, e.se);
}

void store_evaluation(store::Results& results, const std::string& prefix, const Evaluation& e) {
  const auto add = [&](const std::string& name, const std::vector<double>& values) {
    if (!values.empty()) results.arrays[prefix + "/" + name] = store::Array<double>::flat(values);
  };
  add("sis_lower", e.bounds.sis_lower_runs);
  add("sis_upper", e.bounds.sis_upper_runs);
  add("smc_lower", e.bounds.smc_lower_runs);
  add("smc_upper", e.bounds.smc_upper_runs);
  add("ess_per_step", e.bounds.mean_ess);
  for (const auto& [name, value] : to_numbers(e, prefix)) results.numbers[name] = value;
}

/// The evaluations beside one another, the base model first.
void print_table(const Session& session, const Comparison& c, double total_seconds) {
  std::vector<std::string> header{""};
  std::vector<const Evaluation*> columns;
  const auto column = [&](const std::string& name, const Evaluation* e) {
    if (e == nullptr) return;
    header.push_back(name);
    columns.push_back(e);
  };
  column("base model", c.base);
  if (c.before != c.base) column("before learning", c.before);
  column(c.after->update == 0 ? "untrained" : fmt::format("after {} updates", c.after->update), c.after);
  report::Table table(header);
  const auto add = [&](const std::string& name, auto value) {
    std::vector<std::string> cells{name};
    for (const Evaluation* e : columns) cells.push_back(value(*e));
    table.add_row(cells);
  };
  using E = const Evaluation&;
  add("log Z, exact",
      [](E e) { return std::isnan(e.exact_log_z) ? "-" : fmt::format("{:.6f}", e.exact_log_z); });
  add("log Z, SMC lower bound", [](E e) { return cell(e.bounds.smc_lower); });
  add("log Z, SMC upper bound", [](E e) { return cell(e.bounds.smc_upper); });
  add("log Z, SIS lower bound", [](E e) { return cell(e.bounds.sis_lower); });
  add("log Z, SIS upper bound", [](E e) { return cell(e.bounds.sis_upper); });
  add("KL(q || sigma)", [](E e) { return cell(e.kl.q_sigma); });
  add("KL(sigma || q)", [](E e) { return cell(e.kl.sigma_q); });
  add("ESS at the end", [&](E e) {
    return fmt::format("{:.1f} of {}", e.bounds.mean_final_ess, session.config().smc.sweep.particles);
  });
  add("seconds", [](E e) { return fmt::format("{:.1f}", e.seconds); });
  fmt::print("\n{}\n{} rank(s), {:.1f} s in all. Files: {}\n", table.text(), session.world().size(),
             total_seconds, session.output("").string());
}

/// Everything the estimators find, saved now and then and when a signal comes. *Collective over the world.*
estimate::Findings find(const Session& session, const smc::Proposal& proposal, const Unfinished& unfinished,
                        const estimate::ExactSource& source, smc::SweepCounters& counters) {
  constexpr double save_every_s = 10;
  const Config& config = session.config();
  const smc::Problem problem = session.problem();
  estimate::Findings found = unfinished.load_findings();
  report::ProgressLine progress(session.progress());
  Stopwatch since_save;
  const Observer observer = [&](std::string_view what, std::int64_t done, std::int64_t wanted) {
    progress.update(fmt::format("evaluation: {}: {} of {}", what, done, wanted), {done, wanted});
    if (since_save.seconds() < save_every_s) return;
    unfinished.save(found);
    since_save.restart();
  };
  const Steering steering{session.interrupt(), observer, [] { return pending_signal() != 0; }};
  const bool is_done =
      estimate::run_repeats(problem, proposal, {session.sweep_options(), config.evaluate.repeats, steering},
                            source, session.world(), session.groups(), found, counters) &&
      estimate::run_samples(problem, proposal,
                            {config.target.length, config.evaluate.samples, config.run.seed, steering},
                            source, session.world(), found);
  progress.finish();
  if (is_done) return found;
  unfinished.save(found);
  session.stop(
      fmt::format("{} of {} repeats of the evaluation and {} of {} samples are kept; run again to go on",
                  found.repeats.size(), config.evaluate.repeats, found.q.size(), config.evaluate.samples));
}

report::JsonLine versions() {
  report::JsonLine json;
  json.add("twistor", store::program_version()).add("revision", store::program_revision());
  json.add("libtorch", TWISTOR_LIBTORCH_VERSION).add("hdf5", TWISTOR_HDF5_VERSION);
  return json.add("mpi", comm::mpi_version()).add("compiler", __VERSION__);
}

}  // namespace

namespace {

Evaluation evaluate_proposal(const Session& session, const smc::Proposal& proposal, std::int64_t update,
                             const store::ExactSamples& exact, const Unfinished& unfinished) {
  const Stopwatch watch;
  const estimate::ExactSource source = split(exact, session.config()).for_estimates;
  Evaluation e;
  e.update = update;
  e.exact_log_z = exact.log_z;
  const estimate::Findings found = find(session, proposal, unfinished, source, e.bounds.counters);
  const smc::SweepCounters counters = e.bounds.counters;
  e.bounds = estimate::bounds_of(found, source.n > 0);
  e.bounds.counters = counters;
  if (!e.bounds.has_upper) e.bounds.sis_upper = e.bounds.smc_upper = {not_a_number, not_a_number, 0};
  e.proposal = estimate::proposal_kl_of(found);
  if (!e.proposal.has_g) e.proposal.g_q = {not_a_number, not_a_number, 0};
  e.kl = estimate::kl_from_log_z(e.proposal, estimate::best_log_z(e.bounds, e.exact_log_z));
  e.seconds = watch.seconds();
  return e;
}

}  // namespace

Evaluation evaluate_twist(const Session& session, const twist::Trainable& twist, std::int64_t update,
                          const store::ExactSamples& exact) {
  const Unfinished unfinished(session, "evaluation.partial.h5",
                              work_key(session, twist.form(), twist.parameters(), exact));
  const Evaluation e = evaluate_proposal(session, session.make_proposal(twist), update, exact, unfinished);
  unfinished.remove();
  return e;
}

Evaluation evaluate_base(const Session& session, const store::ExactSamples& exact) {
  const twist::NoTwist none(session.lm().vocab_size());
  const Unfinished unfinished(session, "base.partial.h5", work_key(session, none.form(), {}, exact));
  // Whatever the proposal, psi = 1 makes it p0; the order of its steps stays, so that columns are comparable.
  return evaluate_proposal(session, session.make_proposal(none), 0, exact, unfinished);
}

void forget_base(const Session& session) {
  Unfinished(session, "base.partial.h5", {}).remove();
}

std::map<std::string, double> to_numbers(const Evaluation& e, const std::string& prefix) {
  std::map<std::string, double> out;
  for_each_estimate(e, [&](const std::string& name, const Estimate& estimate) {
    const std::string key = prefix + "." + name;
    out[key + ".mean"] = estimate.mean;
    out[key + ".se"] = estimate.se;
    out[key + ".n"] = static_cast<double>(estimate.n);
  });
  out[prefix + ".update"] = static_cast<double>(e.update);
  out[prefix + ".log_z.exact"] = e.exact_log_z;
  out[prefix + ".final_ess"] = e.bounds.mean_final_ess;
  for (std::size_t t = 0; t < e.bounds.mean_ess.size(); ++t)
    out[fmt::format("{}.ess.{}", prefix, t)] = e.bounds.mean_ess[t];
  out[prefix + ".genealogical_variance"] = e.bounds.genealogical_variance;
  out[prefix + ".seconds"] = e.seconds;
  return out;
}

std::optional<Evaluation> from_numbers(const std::map<std::string, double>& numbers,
                                       const std::string& prefix) {
  if (!numbers.contains(prefix + ".update")) return std::nullopt;
  Evaluation e;
  for_each_estimate(e, [&](const std::string& name, Estimate& estimate) {
    const std::string key = prefix + "." + name;
    estimate = {numbers.at(key + ".mean"), numbers.at(key + ".se"),
                static_cast<std::int64_t>(numbers.at(key + ".n"))};
  });
  e.update = static_cast<std::int64_t>(numbers.at(prefix + ".update"));
  e.exact_log_z = numbers.at(prefix + ".log_z.exact");
  e.bounds.mean_final_ess = numbers.at(prefix + ".final_ess");
  const auto ess_key = [&](std::size_t t) { return fmt::format("{}.ess.{}", prefix, t); };
  for (std::size_t t = 0; numbers.contains(ess_key(t)); ++t)
    e.bounds.mean_ess.push_back(numbers.at(ess_key(t)));
  e.bounds.genealogical_variance = numbers.at(prefix + ".genealogical_variance");
  e.seconds = numbers.at(prefix + ".seconds");
  return e;
}

void keep_earlier_results(const Session& session) {
  const auto numbered = [&](int n) {
    return std::pair{session.output(fmt::format("summary.{}.json", n)),
                     session.output(fmt::format("results.{}.h5", n))};
  };
  int n = 1;
  while (std::filesystem::exists(numbered(n).first) || std::filesystem::exists(numbered(n).second)) ++n;
  const auto keep = [](const std::filesystem::path& file, const std::filesystem::path& name) {
    if (!std::filesystem::exists(file)) return;
    // A second name for the same file is there at once and whole; publish() then puts a new file under the
    // first.
    std::error_code failure;
    std::filesystem::create_hard_link(file, name, failure);
    if (failure) std::filesystem::copy_file(file, name, failure);  // a file system without links
    TWISTOR_CHECK(!failure, ErrorKind::io, "keeping " + file.string() + " as " + name.string(),
                  failure.message());
  };
  keep(session.output("summary.json"), numbered(n).first);
  keep(session.output("results.h5"), numbered(n).second);
}

void publish(const Session& session, const Comparison& c, const Counters& counters, double total_seconds) {
  store::Results results;
  results.config_text = to_text(session.config());
  if (c.base != nullptr) store_evaluation(results, "base", *c.base);
  if (c.before != nullptr) store_evaluation(results, "before", *c.before);
  store_evaluation(results, "after", *c.after);
  results.counters = counters.sums;
  results.counters.insert(counters.maxima.begin(), counters.maxima.end());
  results.numbers.insert(counters.seconds.begin(), counters.seconds.end());
  store::write_results(session.output("results.h5"), results);

  report::JsonLine summary;
  add_estimates(summary, *c.after);
  summary.add("updates", c.after->update);
  for (const auto& [name, e] : {std::pair{"base", c.base}, std::pair{"before", c.before}}) {
    if (e == nullptr) continue;
    report::JsonLine nested;
    add_estimates(nested, *e);
    summary.add(name, nested);
  }
  summary.add_json("config", to_json(session.config()));
  report::JsonLine counts;
  for (const auto& [name, value] : results.counters) counts.add(name, value);
  for (const auto& [name, value] : counters.seconds) counts.add(name, value);
  summary.add("counters", counts).add("ranks", session.world().size()).add("versions", versions());
  report::write_text_atomically(session.output("summary.json").string(),
                                report::indented(summary.text()) + "\n");
  print_table(session, c, total_seconds);
}

}  // namespace twistor::app
