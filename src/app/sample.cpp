// `twistor sample`: sequences drawn from the sampler's approximation of sigma, with their weights.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "twistor/app/commands.hpp"
#include "twistor/app/cost.hpp"
#include "twistor/app/twist_store.hpp"
#include "twistor/app/unfinished.hpp"
#include "twistor/base/atomic_file.hpp"
#include "twistor/base/error.hpp"
#include "twistor/base/log.hpp"
#include "twistor/base/log_space.hpp"
#include "twistor/comm/collectives.hpp"
#include "twistor/config/paths.hpp"
#include "twistor/exact/base_sampler.hpp"
#include "twistor/report/json_line.hpp"
#include "twistor/report/progress.hpp"
#include "twistor/report/sample_file.hpp"
#include "twistor/report/table.hpp"
#include "twistor/text/decode.hpp"

namespace twistor::app {
namespace {

using estimate::DrawFrom;
constexpr std::int64_t most_base_samples = 64;

/// The twist that populations are steered by, and what unfinished work with it is known by.
struct LoadedTwist {
  std::unique_ptr<twist::Twist> twist;
  std::string work_key;
};

/// *Collective over the world.* With q = p0 there need not be any checkpoint.
LoadedTwist load_twist(Session& session) {
  const std::string& given = session.config().evaluate.checkpoint;
  const auto file = twist_file(session);
  std::int64_t is_there = 0;
  if (session.is_root())
    is_there = std::filesystem::exists(file) || std::filesystem::exists(previous_generation(file));
  comm::broadcast(std::span(&is_there, 1), 0, session.world());
  if (session.config().smc.proposal.kind == smc::ProposalKind::base && given.empty() && is_there == 0) {
    if (session.is_root())
      log_info("no checkpoint in run.output: drawing from p0 without a twist and weighing by phi");
    auto none = std::make_unique<twist::NoTwist>(session.lm().vocab_size());
    const std::string form = none->form();
    return {std::move(none), work_key(session, form, {}, {})};
  }
  TWISTOR_CHECK(is_there != 0, ErrorKind::no_input, "loading the twist for `sample`",
                fmt::format("there is no checkpoint {}", file.string()),
                "train first, name a checkpoint with evaluate.checkpoint, or set smc.proposal = base to draw "
                "without a twist");
  const store::Checkpoint checkpoint = load_checkpoint(session, file);
  require_fits(session, checkpoint, Purpose::use);
  auto twist = session.make_twist(checkpoint.objective);
  restore(*twist, checkpoint);
  const std::string key = work_key(session, twist->form(), twist->parameters(), {});
  return {std::move(twist), key};
}

/// Throws Stopped after a signal; populations that are done are kept.
estimate::Draws draw(const Session& session, const twist::Twist& twist, const Unfinished& unfinished) {
  const Config& config = session.config();
  estimate::DrawOptions options{session.sweep_options(), config.sample.count,
                                from_name<DrawFrom>(config.sample.from, "sample.from")};
  // Without a twist all weights are equal until phi is known: resampling could only lose sequences.
  if (twist.form() == "none") options.sweep.trigger = smc::Trigger::never;
  report::ProgressLine progress(session.progress());
  estimate::Draws draws = estimate::draw_sequences(
      session.problem(), session.make_proposal(twist), options, session.world(), session.groups(),
      estimate::draws_from_numbers(unfinished.load()), session.steering(progress, "", " populations"));
  progress.finish();
  if (draws.n_done() < options.n_populations()) {
    unfinished.save(estimate::to_numbers(draws));
    session.stop(fmt::format("{} of {} populations of samples are kept; run again to go on", draws.n_done(),
                             options.n_populations()));
  }
  return draws;
}

/// Samples of p0 to compare with, dealt out to the ranks: the same whatever their number.
struct BaseDraws {
  std::vector<std::int64_t> tokens;  // (n, T)
  std::vector<double> log_phi;       // (n)
};
BaseDraws draw_base(const Session& session, std::int64_t n) {
  const std::int64_t T = session.config().target.length, P = session.world().size(),
                     r = session.world().rank();
  std::vector<std::int64_t> indices;
  for (std::int64_t i = n * r / P; i < n * (r + 1) / P; ++i) indices.push_back(i);
  BaseDraws mine;
  if (!indices.empty()) {
    mine.tokens = exact::sample_base(session.lm(), session.prompt(), T, indices, session.config().run.seed,
                                     Stream::base_check)
                      .tokens;
    mine.log_phi = session.potential().log_phi({session.prompt(), mine.tokens, T});
  }
  return {comm::all_gather(std::span<const std::int64_t>(mine.tokens), session.world()),
          comm::all_gather(std::span<const double>(mine.log_phi), session.world())};
}

/// K of the largest population.
std::int64_t particles(const Config& config) {
  return config.sample.from == "draws" ? config.smc.sweep.particles
                                       : std::min(config.smc.sweep.particles, config.sample.count);
}

std::string mean_log_phi(const std::vector<double>& log_phi, const std::vector<double>& log_w) {
  if (log_sum_exp(log_w) == log_zero) return "-";
  const auto n_zero = std::ranges::count(log_phi, log_zero);
  const estimate::Estimate e = estimate::weighted_mean_estimate(log_phi, log_w);
  if (std::isinf(e.mean)) return fmt::format("-inf (phi = 0 for {} of {})", n_zero, log_phi.size());
  return std::isnan(e.se) ? fmt::format("{:.4f}", e.mean) : fmt::format("{:.4f} ± {:.4f}", e.mean, e.se);
}

template <class Keys>
std::string share_unique(const Keys& keys) {
  const auto n = std::set(keys.begin(), keys.end()).size();
  return fmt::format("{} of {} ({:.0f} %)", n, keys.size(),
                     100.0 * static_cast<double>(n) / static_cast<double>(keys.size()));
}

/// Texts, or token ids where there is no tokenizer.
std::string key_of(const Session& session, std::span<const std::int64_t> tokens) {
  return session.tokenizer() != nullptr ? session.decode(tokens) : fmt::format("{}", fmt::join(tokens, " "));
}

void print_summary(const Session& session, const estimate::Draws& draws,
                   const std::vector<report::SampleRow>& rows, const BaseDraws& base) {
  std::vector<double> log_phi, log_w;
  std::vector<std::string> keys, base_keys;
  for (const report::SampleRow& row : rows) {
    log_phi.push_back(row.sequence.log_phi);
    log_w.push_back(std::log(row.weight));
    keys.push_back(key_of(session, row.sequence.tokens));
  }
  const auto T = static_cast<std::size_t>(session.config().target.length);
  for (std::size_t i = 0; i < base.log_phi.size(); ++i)
    base_keys.push_back(key_of(session, std::span(base.tokens).subspan(i * T, T)));
  report::Table table({"", "base model", "drawn for sigma"});
  table.add_row({"mean log phi", mean_log_phi(base.log_phi, std::vector<double>(base.log_phi.size(), 0.0)),
                 mean_log_phi(log_phi, log_w)});
  table.add_row({"distinct texts", share_unique(base_keys), share_unique(keys)});
  table.add_row({"populations", "-", std::to_string(draws.n_done())});
  table.add_row({"mean ESS at the end", "-",
                 fmt::format("{:.1f} of {}", draws.mean_final_ess(), particles(session.config()))});
  fmt::print("\n{}", table.text());
}

void warn(const Session& session, const estimate::Draws& draws) {
  const std::int64_t K = particles(session.config());
  if (draws.n_dead() > 0)
    log_warning(
        fmt::format("in {} of {} populations phi was 0 for every particle; no draw comes from them: "
                    "train the twist longer, raise smc.particles or set a target.log_floor",
                    draws.n_dead(), draws.n_done()));
  if (draws.mean_final_ess() < std::max(2.0, 0.05 * static_cast<double>(K)))
    log_warning(fmt::format(
        "the weights are degenerate: a mean ESS of {:.1f} of {} particles at the end. What was drawn follows "
        "the proposal rather than sigma: train the twist longer, raise smc.particles or lower target.beta",
        draws.mean_final_ess(), K));
}

report::SampleHead head_of(const Session& session) {
  report::SampleHead head{session.prompt(), {}, session.config().sample.unique};
  const std::string& given = session.config().prompt.text;
  if (session.tokenizer() != nullptr)
    head.prompt_text = given.empty() ? text::decode_any(*session.tokenizer(), session.prompt()) : given;
  return head;
}

/// Thins the rows out as asked and writes them.
void write(const Session& session, std::vector<report::SampleRow> rows, DrawFrom from) {
  const SampleConfig& options = session.config().sample;
  const std::string name = fmt::format("samples.{}", options.format);
  const auto file = options.path.empty() ? session.output(name) : config::output_path(options.path);
  if (options.unique) rows = report::merge_repeats(rows);
  if (options.top > 0) rows = report::best_rows(std::move(rows), options.top, from);
  const report::SampleHead head = head_of(session);
  report::write_text_atomically(
      file.string(), options.format == "csv" ? report::to_csv(rows, head) : report::to_jsonl(rows, head));
  log_info(fmt::format("{} lines written to {}", rows.size(), file.string()));
}

}  // namespace

int sample(const Invocation& invocation) {
  Session session(invocation.config, invocation.config_file);
  const auto from = from_name<DrawFrom>(session.config().sample.from, "sample.from");
  const LoadedTwist loaded = load_twist(session);
  const Unfinished unfinished(session, "samples.partial.h5", loaded.work_key);
  say_cost(session, work_of_sampling(session.config()));
  const estimate::Draws draws = draw(session, *loaded.twist, unfinished);
  TWISTOR_CHECK(draws.n_dead() < draws.n_done(), ErrorKind::data, "drawing sequences",
                fmt::format("phi was 0 for every particle of {} populations", draws.n_done()),
                "train the twist longer, raise smc.particles, set a target.log_floor, or ask score-text "
                "whether the potential sees what you mean");
  const BaseDraws base = draw_base(session, std::min(session.config().sample.count, most_base_samples));
  if (!session.is_root()) return 0;
  std::vector<std::string> texts;
  if (session.tokenizer() != nullptr)
    for (const estimate::WeightedSequence& s : draws.sequences) texts.push_back(session.decode(s.tokens));
  const std::vector<report::SampleRow> rows = report::sample_rows(draws.sequences, texts, from);
  write(session, rows, from);
  unfinished.remove();
  print_summary(session, draws, rows, base);
  warn(session, draws);
  return 0;
}

}  // namespace twistor::app
