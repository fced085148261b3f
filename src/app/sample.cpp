// SPDX-License-Identifier: Apache-2.0
// `twistor sample`: sequences drawn from the sampler's approximation of sigma, with their weights.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "twistor/app/commands.hpp"
#include "twistor/app/prompts.hpp"
#include "twistor/base/atomic_file.hpp"
#include "twistor/base/error.hpp"
#include "twistor/base/log.hpp"
#include "twistor/comm/collectives.hpp"
#include "twistor/config/paths.hpp"
#include "twistor/estimate/prompt_draws.hpp"
#include "twistor/exact/sample_set.hpp"
#include "twistor/report/html_report.hpp"
#include "twistor/report/progress.hpp"
#include "twistor/report/rows.hpp"
#include "twistor/report/sample_file.hpp"
#include "twistor/report/sample_table.hpp"
#include "twistor/run/cost.hpp"
#include "twistor/run/twist_store.hpp"
#include "twistor/run/unfinished.hpp"
#include "twistor/text/decode.hpp"

namespace twistor::app {
namespace {

constexpr std::int64_t most_base_samples = 64;

estimate::DrawOptions draw_options(const run::Session& session, const twist::Twist& twist) {
  const run::Config& config = session.config();
  estimate::DrawOptions options{session.sweep_options(), config.sample.count, config.sample.from,
                                config.sample.moves};
  // Without a twist all weights are equal until phi is known: resampling could only lose sequences.
  if (twist.form() == "none" && options.sweep.prefix_weight == 0) options.sweep.trigger = smc::Trigger::never;
  return options;
}

/// Throws Stopped after a signal; populations that are done are kept.
estimate::Draws draw(const run::Session& session, const twist::Twist& twist,
                     const run::Unfinished& unfinished) {
  estimate::DrawOptions options = draw_options(session, twist);
  options.save = [&](const estimate::Draws& found) { unfinished.save(estimate::to_numbers(found)); };
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

/// Texts, or token ids where there is no tokenizer.
std::string key_of(const run::Session& session, std::span<const std::int64_t> tokens) {
  return session.tokenizer() != nullptr ? session.decode(tokens) : fmt::format("{}", fmt::join(tokens, " "));
}

void print_summary(const run::Session& session, const estimate::Draws& draws,
                   const std::vector<report::SampleRow>& rows, const exact::BaseDraws& base) {
  report::SampleSummary summary{
      .base_log_phi = base.log_phi,
      .draws = draws,
      .particles = session.config().sample.particles_of(session.config().smc.sweep.particles),
      .n_moves = session.config().sample.moves * static_cast<std::int64_t>(draws.sequences.size())};
  for (const report::SampleRow& row : rows) summary.keys.push_back(key_of(session, row.sequence.tokens));
  const auto T = static_cast<std::size_t>(session.config().target.length);
  for (std::size_t i = 0; i < base.log_phi.size(); ++i)
    summary.base_keys.push_back(key_of(session, std::span(base.tokens).subspan(i * T, T)));
  fmt::print("\n{}", report::sample_table(rows, summary));
}

report::SampleHead head_of(const run::Session& session) {
  report::SampleHead head{session.prompt(), {}, session.config().sample.unique};
  const std::string& given = session.whole_prompt().text;
  if (session.tokenizer() != nullptr)
    head.prompt_text = given.empty() ? text::decode_any(*session.tokenizer(), session.prompt()) : given;
  return head;
}

void write(const run::Session& session, std::vector<report::SampleGroup> groups) {
  const report::SampleOptions& options = session.config().sample;
  const auto file = options.path.empty() ? session.output(fmt::format("samples.{}", name_of(options.format)))
                                         : config::output_path(options.path);
  const std::size_t n = report::write_samples(file, std::move(groups), options);
  log_info(fmt::format("{} lines written to {}", n, file.string()));
}

/// `sample` over the prompts of prompt.file.
int sample_prompts(run::Session& session) {
  require_prompts_alone(session);
  const run::LoadedTwist loaded = load_twist(session, "sample");
  const run::Config& config = session.config();
  const run::Unfinished unfinished(session, "samples.partial.h5", loaded.work_key);
  say_cost(session, work_of_sampling(config));
  report::ProgressLine progress(session.progress());
  const estimate::PromptDrawOptions options{
      draw_options(session, *loaded.twist), config.smc.proposal, session.steering(progress),
      [&](const estimate::Pieces& found) { unfinished.save(estimate::to_numbers(found)); }};
  const estimate::PromptSampler sampler{
      "twist", loaded.learned != nullptr ? session.twist_lm() : session.shared_lm(), *loaded.twist};
  const std::vector<estimate::PromptTask> tasks = prompt_tasks(session);
  estimate::Pieces found = estimate::pieces_from_numbers(unfinished.load());
  const auto draws = estimate::draw_prompts(tasks, sampler, session.potential(), options, session.world(),
                                            session.groups(), found);
  progress.finish();
  if (!draws)
    session.stop(
        fmt::format("samples for {} of {} prompts are kept; run again to go on", found.size(), tasks.size()));
  estimate::require_some(*draws);
  if (!session.is_root()) return 0;
  std::function<std::string(std::span<const std::int64_t>)> decode;
  if (session.tokenizer() != nullptr) decode = [&](auto ids) { return session.decode(ids); };
  const std::vector<report::SampleGroup> groups = report::sample_groups(tasks, *draws, config.sample, decode);
  write(session, groups);
  unfinished.remove();
  fmt::print("\n{}", report::prompt_sample_table(groups, *draws,
                                                 config.sample.particles_of(config.smc.sweep.particles)));
  for (const std::string& warning : report::prompt_sample_warnings(groups, *draws)) log_warning(warning);
  return 0;
}

}  // namespace

int sample(const Invocation& invocation) {
  run::Session session(invocation.config, invocation.config_file);
  if (!session.prompts().empty()) return sample_prompts(session);
  if (session.config().smc.draws_from_policy()) session.load_policies(invocation.config_file);
  const run::LoadedTwist loaded = load_twist(session, "sample");
  const run::Unfinished unfinished(session, "samples.partial.h5", loaded.work_key);
  say_cost(session, work_of_sampling(session.config()));
  const estimate::Draws draws = draw(session, *loaded.twist, unfinished);
  estimate::require_some(draws);
  const exact::BaseDraws base =
      exact::draw_base(session.exact_target(), std::min(session.config().sample.count, most_base_samples),
                       session.config().run.seed, session.world());
  if (!session.is_root()) return 0;
  std::vector<std::string> texts;
  if (session.tokenizer() != nullptr)
    for (const estimate::WeightedSequence& s : draws.sequences) texts.push_back(session.decode(s.tokens));
  const std::vector<report::SampleRow> rows =
      report::sample_rows(draws.sequences, texts, session.config().sample.from);
  write(session, {{rows, head_of(session)}});
  unfinished.remove();
  if (std::filesystem::exists(session.output("summary.json"))) report::try_html_report(session.output(""));
  print_summary(session, draws, rows, base);
  for (const std::string& warning : report::sample_warnings(
           draws, session.config().sample.particles_of(session.config().smc.sweep.particles)))
    log_warning(warning);
  return 0;
}

}  // namespace twistor::app
