// SPDX-License-Identifier: Apache-2.0
// results.h5 as a sink.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "grid_table.hpp"
#include "prompt_columns.hpp"
#include "twistor/report/sink.hpp"
#include "twistor/store/results.hpp"

namespace twistor::report {
namespace {

using Decode = std::function<std::string(std::span<const std::int64_t>)>;

/// What each token adds to its particle's text, as a JSON array; empty without a tokenizer. Each is decoded
/// after the few before it: alone, some tokenizers would take the blank in front of a word away.
std::string pieces_of(const estimate::SweepTrace& trace, const Decode& decode) {
  constexpr std::size_t context = 8;
  if (!decode) return {};
  std::vector<std::string> pieces;
  bool has_text = false;
  for (std::int64_t i = 0; i < trace.K; ++i) {
    const auto ids = std::span(trace.tokens).subspan(static_cast<std::size_t>(i * trace.T));
    for (std::size_t t = 0; t < static_cast<std::size_t>(trace.T); ++t) {
      const std::size_t n_before = std::min(t, context);
      const std::string before = decode(ids.subspan(t - n_before, n_before)),
                        now = decode(ids.subspan(t - n_before, n_before + 1));
      pieces.push_back(now.starts_with(before) ? now.substr(before.size()) : decode(ids.subspan(t, 1)));
      has_text |= !pieces.back().empty();
    }
  }
  using Json = nlohmann::json;
  return has_text ? Json(pieces).dump(-1, ' ', false, Json::error_handler_t::replace) : std::string{};
}

void add_trace(store::Results& results, const std::string& prefix, const estimate::SweepTrace& trace,
               const Decode& decode) {
  const auto n_resamplings = static_cast<std::int64_t>(trace.resamplings.size());
  Array<std::int64_t> ancestors{{n_resamplings, trace.K}, {}};
  std::vector<std::int64_t> n_drawn;
  for (const smc::Resampling& r : trace.resamplings) {
    n_drawn.push_back(r.n_drawn);
    ancestors.values.insert(ancestors.values.end(), r.ancestor_of_id.begin(), r.ancestor_of_id.end());
  }
  const std::vector<std::int64_t> shape{trace.K, trace.T};
  results.arrays[prefix + "/tokens"] = Array<std::int64_t>{shape, trace.tokens};
  results.arrays[prefix + "/log_psi"] = Array<double>{shape, trace.log_psi};
  results.arrays[prefix + "/log_increment"] = Array<double>{shape, trace.log_increment};
  results.arrays[prefix + "/log_phi"] = Array<double>::flat(trace.log_phi);
  results.arrays[prefix + "/log_weight"] = Array<double>::flat(trace.log_weight);
  if (n_resamplings > 0) {
    results.arrays[prefix + "/resampled_at"] = Array<std::int64_t>::flat(n_drawn);
    results.arrays[prefix + "/ancestors"] = std::move(ancestors);
  }
  if (std::string pieces = pieces_of(trace, decode); !pieces.empty())
    results.arrays[prefix + "/pieces"] = std::move(pieces);
}

void add_samples(store::Results& results, const std::string& prefix, const estimate::Evaluation& e) {
  const auto n = static_cast<std::int64_t>(e.q.size());
  const auto n_steps = static_cast<std::int64_t>(estimate::n_psi_steps);
  Array<double> log_psi{{n, n_steps}, {}}, log_future{{n, n_steps}, {}};
  for (const estimate::ProposalSample& s : e.q) {
    log_psi.values.insert(log_psi.values.end(), s.log_psi.begin(), s.log_psi.end());
    log_future.values.insert(log_future.values.end(), s.log_future.begin(), s.log_future.end());
  }
  using estimate::ProposalSample;
  results.arrays[prefix + "/log_phi"] = Array<double>::flat(column(e.q, &ProposalSample::log_phi));
  results.arrays[prefix + "/log_weight"] = Array<double>::flat(column(e.q, &ProposalSample::ratio));
  results.arrays[prefix + "/log_psi"] = std::move(log_psi);
  results.arrays[prefix + "/log_future"] = std::move(log_future);
}

void add_evaluation(store::Results& results, const std::string& prefix, const estimate::Evaluation* e,
                    const Decode& decode) {
  if (e == nullptr) return;
  const auto add = [&](std::string_view name, const std::vector<double>& values) {
    if (!values.empty()) results.arrays[prefix + "/" + std::string(name)] = Array<double>::flat(values);
  };
  for (const estimate::NamedEstimate& estimate : e->estimates)
    add(estimate.name.substr(estimate.name.find('.') + 1), estimate.runs);
  add("ess_per_step", e->mean_ess);
  add("unique_ancestors", e->mean_survivors);
  results.arrays[prefix + "/log_z_method"] = std::string(name_of(e->log_z.method));
  if (!e->q.empty()) add_samples(results, prefix + "/q", *e);
  if (!e->g.empty() && !e->exact_digest.empty()) {
    results.arrays[prefix + "/sigma/log_weight"] = Array<double>::flat(e->g);
    results.arrays[prefix + "/sigma/samples"] = e->exact_digest;
  }
  if (e->trace) add_trace(results, prefix + "/sweep", *e->trace, decode);
  results.numbers.merge(estimate::to_numbers(*e, prefix));
}

void add_columns(store::Results& results, const std::string& prefix, std::vector<NumberColumn> columns) {
  for (NumberColumn& column : columns) {
    std::ranges::replace(column.name, '.', '/');
    results.arrays[prefix + column.name] = Array<double>::flat(std::move(column.values));
  }
}

class ResultsFile final : public Sink {
 public:
  explicit ResultsFile(std::filesystem::path file) : file_(std::move(file)) {}

  void finished(const Run& run) override {
    store::Results results;
    results.config_text = run.config_text;
    add_evaluation(results, "base", run.base, run.decode);
    add_evaluation(results, "before", run.before, run.decode);
    add_evaluation(results, "after", run.after, run.decode);
    for (const NamedEvaluation& policy : run.policies)
      add_evaluation(results, "policies/" + policy.name, &policy.evaluation, run.decode);
    for (const NamedEvaluation& checkpoint : run.checkpoints)
      add_evaluation(results, "checkpoints/" + checkpoint.name, &checkpoint.evaluation, run.decode);
    add_columns(results, "prompts/", prompt_columns(run.prompts));
    add_columns(results, "sweep/", grid_columns(run.grid));
    results.counters = run.counters.sums;
    results.counters.insert(run.counters.maxima.begin(), run.counters.maxima.end());
    results.numbers.insert(run.counters.seconds.begin(), run.counters.seconds.end());
    store::write_results(file_, results);
  }

 private:
  std::filesystem::path file_;
};

}  // namespace

std::unique_ptr<Sink> results_file(const std::filesystem::path& file) {
  return std::make_unique<ResultsFile>(file);
}

}  // namespace twistor::report
