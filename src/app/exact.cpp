// Exact samples of sigma: which way, made by all ranks or one, saved as they come.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "twistor/app/session.hpp"
#include "twistor/app/signals.hpp"
#include "twistor/base/error.hpp"
#include "twistor/base/log.hpp"
#include "twistor/base/stopwatch.hpp"
#include "twistor/comm/collectives.hpp"
#include "twistor/config/paths.hpp"
#include "twistor/potential/enumeration.hpp"
#include "twistor/potential/rejection.hpp"
#include "twistor/report/progress.hpp"

namespace twistor::app {
namespace {

/// Samples under way, with what ties them to their problem filled in.
store::ExactSamples empty_set(const Session& session, std::string_view how) {
  store::ExactSamples out;
  out.prompt = session.prompt();
  out.length = session.config().target.length;
  out.tokens.shape = {0, out.length};
  out.how = fmt::format("{} with seed {}", how, session.config().run.seed);
  out.model_fingerprint = session.lm().fingerprint();
  out.potential = session.potential_identity();
  return out;
}

void append(store::ExactSamples& out, std::span<const std::int64_t> tokens, double log_p0, double log_phi) {
  out.tokens.values.insert(out.tokens.values.end(), tokens.begin(), tokens.end());
  ++out.tokens.shape[0];
  out.log_p0.push_back(log_p0);
  out.log_phi.push_back(log_phi);
}

bool is_enumerable(const Session& session) {
  const EvaluateConfig& e = session.config().evaluate;
  if (e.enumerate == "never") return false;
  const double n = std::pow(static_cast<double>(session.lm().vocab_size()),
                            static_cast<double>(session.config().target.length));
  return e.enumerate == "always" || n <= static_cast<double>(e.enumeration_limit);
}

store::ExactSamples by_enumeration(const Session& session) {
  const Config& config = session.config();
  potential::EnumerationOptions options;
  options.limit = std::max(config.evaluate.enumeration_limit, options.limit);
  log_info(fmt::format("enumerating {}^{} sequences", session.lm().vocab_size(), config.target.length));
  report::ProgressLine progress(session.progress());
  // Root is alone here; the others wait for its set, and all agree on signals afterwards.
  options.steering.interrupt = [] { return pending_signal() != 0; };
  options.steering.observer = [&](std::string_view what, std::int64_t done, std::int64_t wanted) {
    progress.update(fmt::format("enumerating {}: {} of {}", what, done, wanted), {done, wanted});
  };
  const potential::Enumeration all = potential::enumerate(session.lm(), session.potential(), session.prompt(),
                                                          config.target.length, options);
  progress.finish();
  if (!all.is_complete()) return empty_set(session, "enumeration");
  TWISTOR_CHECK(all.size() > 0, ErrorKind::data, "enumerating the target", "phi is 0 for every sequence",
                "the target is empty: check target.words, target.ids or target.text");
  store::ExactSamples out = empty_set(session, "enumeration");
  out.log_z = all.log_z();
  for (std::int64_t i = 0; i < config.exact.count; ++i) {
    const std::vector<std::int64_t> s = all.draw(config.run.seed, i);
    const double log_phi = session.potential().log_phi({session.prompt(), s, out.length})[0];
    append(out, s, all.log_sigma(s) + all.log_z() - log_phi, log_phi);
  }
  return out;
}

/// All ranks' accepted draws of one round, in order of draw number. *Collective over the world.*
std::vector<potential::AcceptedDraw> gather_accepted(const std::vector<potential::AcceptedDraw>& mine,
                                                     std::int64_t T, const comm::Communicator& world) {
  std::vector<std::int64_t> integers;
  std::vector<double> reals;
  for (const potential::AcceptedDraw& a : mine) {
    integers.push_back(a.draw);
    integers.insert(integers.end(), a.tokens.begin(), a.tokens.end());
    reals.insert(reals.end(), {a.log_p0, a.log_phi});
  }
  const auto all_integers = comm::all_gather(std::span<const std::int64_t>(integers), world);
  const auto all_reals = comm::all_gather(std::span<const double>(reals), world);
  std::vector<potential::AcceptedDraw> out;
  for (std::size_t i = 0; 2 * i < all_reals.size(); ++i) {
    const auto at = all_integers.begin() + static_cast<std::ptrdiff_t>(i) * (T + 1);
    out.push_back({*at, {at + 1, at + 1 + T}, all_reals[2 * i], all_reals[2 * i + 1]});
  }
  std::sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.draw < b.draw; });
  return out;
}

/// Where a rejection that is not finished keeps what it has: a finished file gives way to whole results
/// alone.
std::filesystem::path partial_file(const std::filesystem::path& file) {
  std::filesystem::path out = file;
  return out.replace_extension(".partial" + file.extension().string());
}

std::string rejection_text(const store::ExactSamples& s, std::int64_t wanted) {
  return fmt::format(
      "exact samples: {} of {}, {} draws, acceptance {:.3g} %", s.n(), wanted, s.n_draws,
      s.n_draws > 0 ? 100.0 * static_cast<double>(s.n()) / static_cast<double>(s.n_draws) : 0.0);
}

/// One round of draws. *Collective over the world.*
void add_round(const Session& session, const potential::RejectionSampler& sampler, store::ExactSamples& out) {
  constexpr std::int64_t least_a_rank = 32,
                         most_a_rank = 256;  // a batch of the model, so that signals are seen
  const ExactConfig& exact = session.config().exact;
  const comm::Communicator& world = session.world();
  const std::int64_t end = out.n_draws + potential::next_round({.n_wanted = exact.count,
                                                                .n_accepted = out.n(),
                                                                .n_draws = out.n_draws,
                                                                .max_draws = exact.budget,
                                                                .least = least_a_rank * world.size(),
                                                                .most = most_a_rank * world.size()});
  const auto accepted =
      gather_accepted(sampler.accepted({out.n_draws + world.rank(), end, world.size()}), out.length, world);
  out.n_draws = end;
  for (const potential::AcceptedDraw& a : accepted) {
    if (out.n() == exact.count) break;
    append(out, a.tokens, a.log_p0, a.log_phi);
    if (out.n() == exact.count) out.n_draws = a.draw + 1;
  }
}

/// Goes on from `out`, which an earlier run may have left unfinished. *Collective over the world.*
store::ExactSamples by_rejection(const Session& session, const std::filesystem::path& partial,
                                 store::ExactSamples out) {
  constexpr double save_every_s = 10;
  const ExactConfig& exact = session.config().exact;
  const potential::RejectionSampler sampler(session.lm(), session.potential(), session.prompt(), out.length,
                                            session.config().run.seed);
  const Interrupt interrupt = session.interrupt();
  report::ProgressLine progress(session.progress());
  Stopwatch since_save;
  const auto save = [&] {
    if (session.is_root()) store::write_exact_samples(partial, out);
    since_save.restart();
  };
  while (out.n() < exact.count && out.n_draws < exact.budget) {
    if (interrupt()) {
      progress.finish();
      save();
      session.stop(fmt::format("{} of {} exact samples from {} draws are kept; run again to go on", out.n(),
                               exact.count, out.n_draws));
    }
    add_round(session, sampler, out);
    progress.update(rejection_text(out, exact.count), {out.n(), exact.count});
    if (since_save.seconds() > save_every_s) save();
  }
  progress.finish();
  if (session.is_root() && out.n() < exact.count)
    log_warning(fmt::format("exact.budget = {} draws gave {} of {} exact samples; going on with those",
                            exact.budget, out.n(), exact.count));
  return out;
}

/// Copies root's set to all ranks.
void share(store::ExactSamples& s, const comm::Communicator& world) {
  std::int64_t sizes[4] = {s.n(), s.length, s.n_draws, 0};
  comm::broadcast(std::span<std::int64_t>(sizes), 0, world);
  const auto n = static_cast<std::size_t>(sizes[0]);
  s.length = sizes[1];
  s.n_draws = sizes[2];
  s.tokens.shape = {sizes[0], s.length};
  s.tokens.values.resize(n * static_cast<std::size_t>(s.length));
  s.log_p0.resize(n);
  s.log_phi.resize(n);
  comm::broadcast(std::span(s.tokens.values), 0, world);
  comm::broadcast(std::span(s.log_p0), 0, world);
  comm::broadcast(std::span(s.log_phi), 0, world);
  comm::broadcast(std::span(&s.log_z, 1), 0, world);
  comm::broadcast(s.how, 0, world);
}

bool is_same_target(const store::ExactSamples& a, const store::ExactSamples& b) {
  return a.prompt == b.prompt && a.length == b.length && a.potential == b.potential &&
         a.model_fingerprint == b.model_fingerprint;
}

/// The first `count`: those that a run that asks for so many would have made.
void shorten(store::ExactSamples& s, std::int64_t count) {
  const std::int64_t n = std::min(s.n(), count);
  s.tokens.shape[0] = n;
  s.tokens.values.resize(static_cast<std::size_t>(n * s.length));
  s.log_p0.resize(static_cast<std::size_t>(n));
  s.log_phi.resize(static_cast<std::size_t>(n));
}

/// What `file` has for this run: all it needs, the beginning of a rejection, or an empty set to be made anew.
/// A file that exact.path names serves all runs on one target, whatever their seeds; run.output's own must be
/// what this run would make, so that results do not depend on what was in the folder.
store::ExactSamples reuse(const std::filesystem::path& file, const store::ExactSamples& wanted,
                          const ExactConfig& exact) {
  store::ExactSamples found = store::load_exact_samples(file);
  const bool is_ours = found.how == wanted.how;
  const bool is_enough =
      found.n() >= exact.count ||
      (found.n() > 0 && (found.how.starts_with("joint") || found.how.starts_with("rejection")));
  if (is_same_target(found, wanted) && is_enough && (is_ours || !exact.path.empty())) {
    shorten(found, exact.count);
    return found;
  }
  TWISTOR_CHECK(
      exact.path.empty(), ErrorKind::config, "reading exact samples from " + file.string(),
      fmt::format("they belong to another model, prompt or target, or are too few ({}; exact.count is {})",
                  found.n(), exact.count),
      "choose another exact.path, or remove the file");
  return wanted;
}

/// What a rejection for this run left unfinished, if that is more than `found`. The file is nobody's result,
/// so one that does not fit or is damaged is forgotten.
store::ExactSamples resume_partial(const std::filesystem::path& partial, store::ExactSamples found,
                                   const store::ExactSamples& wanted, const ExactConfig& exact) {
  if (!std::filesystem::exists(partial)) return found;
  try {
    store::ExactSamples begun = store::load_exact_samples(partial);
    const bool is_more = begun.n_draws > found.n_draws && begun.n() < exact.count && found.n() < exact.count;
    if (is_more && is_same_target(begun, wanted) && begun.how == wanted.how && found.how == wanted.how)
      return begun;
  } catch (const Error& error) {
    log_warning(fmt::format("{}; the exact samples begin anew", error.what()));
  }
  return found;
}

/// The sample that the continuation was drawn with.
store::ExactSamples joint_set(const Session& session, store::ExactSamples out,
                              std::span<const std::int64_t> sample) {
  TWISTOR_CHECK(!sample.empty(), ErrorKind::config, "drawing exact samples",
                "exact.source = joint needs a continuation whose text is drawn",
                "leave target.text and target.ids empty, or choose another exact.source");
  const double log_phi = session.potential().log_phi({session.prompt(), sample, out.length})[0];
  const std::int64_t index = 0;
  const auto drawn = potential::BaseSampler(session.lm(), session.prompt())
                         .sample(out.length, {&index, 1}, session.config().run.seed);
  append(out, sample, drawn.log_p0[0], log_phi);
  const std::vector<std::int64_t>& observation = session.observation();
  out.observations = {{1, static_cast<std::int64_t>(observation.size())}, observation};
  out.n_draws = 1;
  return out;
}

}  // namespace

store::ExactSamples Session::exact_samples(
    const std::function<void(const store::ExactSamples&)>& check) const {
  const ExactConfig& exact = config_.exact;
  const std::filesystem::path file =
      exact.path.empty() ? output("exact.h5") : config::output_path(exact.path);
  std::string how = exact.source;
  if (how == "auto") {
    how = !joint_sample_.empty()                       ? "joint"
          : is_enumerable(*this)                       ? "enumeration"
          : std::isfinite(potential_->log_phi_bound()) ? "rejection"
                                                       : "none";
  }
  store::ExactSamples out = empty_set(*this, how);
  const std::string how_wanted = out.how;
  // Root looks for a set that is there already; whether it fits is everybody's to know.
  const std::filesystem::path partial = partial_file(file);
  if (is_root()) {
    const store::ExactSamples wanted = out;
    if (std::filesystem::exists(file)) out = reuse(file, wanted, exact);
    if (how == "rejection") out = resume_partial(partial, std::move(out), wanted, exact);
  }
  share(out, world_);
  // A rejection under other seeds is taken as it is: its draws cannot be continued here.
  const bool is_unfinished =
      how == "rejection" && out.how == how_wanted && out.n() < exact.count && out.n_draws < exact.budget;
  const bool is_new = out.n() == 0 || is_unfinished;
  if (is_new) {
    if (how == "joint") {
      out = joint_set(*this, std::move(out), joint_sample_);
    } else if (how == "enumeration" && is_root()) {
      out = by_enumeration(*this);
    } else if (how == "rejection") {
      out = by_rejection(*this, partial, std::move(out));
    }
  }
  share(out, world_);
  if (how == "enumeration" && out.n() == 0)
    stop_if_interrupted("run again to go on; an enumeration that is cut short begins anew");
  if (check) check(out);  // whoever refuses them does so before they replace those of an earlier run
  if (is_root() && is_new && out.n() > 0) store::write_exact_samples(file, out);
  std::error_code ignored;
  if (is_root() && how == "rejection") std::filesystem::remove(partial, ignored);
  if (is_root() && out.n() == 0)
    log_warning("there are no exact samples: upper bounds and KL(sigma || q) are left out");
  return out;
}

}  // namespace twistor::app
