// SPDX-License-Identifier: Apache-2.0
// Exact samples of sigma: which way, made by all ranks or one, saved as they come.
#include "twistor/exact/sample_set.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <optional>
#include <thread>
#include <utility>

#include "set_facts.hpp"
#include "twistor/base/error.hpp"
#include "twistor/base/log_space.hpp"
#include "twistor/base/stopwatch.hpp"
#include "twistor/comm/collectives.hpp"
#include "twistor/exact/base_sampler.hpp"
#include "twistor/exact/enumeration.hpp"
#include "twistor/exact/rejection.hpp"

namespace twistor::exact {
namespace {

/// What comes before the seed in ExactSamples::how.
std::string how_before_seed(Way way) {
  return fmt::format("{} with seed ", name_of(way));
}

/// ExactSamples::how of a set that this run makes.
std::string how_of(const SetOptions& options) {
  return fmt::format("{}{}", how_before_seed(options.way), options.seed);
}

/// The first `count`: those that a run that asks for so many would have made.
void shorten(store::ExactSamples& s, std::int64_t count) {
  const std::int64_t n = std::min(s.n(), count);
  s.n_left_out += s.n() - n;
  s.tokens.shape[0] = n;
  s.tokens.values.resize(static_cast<std::size_t>(n * s.length));
  s.log_p0.resize(static_cast<std::size_t>(n));
  s.log_phi.resize(static_cast<std::size_t>(n));
}

/// The seed that a set was made with, if it was made that way.
std::optional<std::uint64_t> seed_of(const store::ExactSamples& samples, Way way) {
  return seed_after(how_before_seed(way), samples);
}

/// What the file has for this run: all it needs, the beginning of it, or an empty set to be made anew.
store::ExactSamples reuse(const store::ExactSamples& wanted, const SetOptions& options, bool is_joint_exact) {
  store::ExactSamples found = store::load_exact_samples(options.file);
  const bool is_ours = found.how == wanted.how;
  // A set made by the same way can be extended, whatever its seed; rejection and joint draws may lack some.
  const bool is_enough =
      found.n() >= options.count ||
      (found.n() > 0 &&
       (found.how.starts_with("joint") || found.how.starts_with("rejection") || seed_of(found, options.way)));
  // Earlier versions made joint draws for other powers of p(o | s), too, which are no samples of the target.
  const bool is_exact = !found.how.starts_with("joint") || is_joint_exact;
  if (is_same_target(found, wanted) && is_exact && is_enough && (is_ours || options.is_shared)) {
    shorten(found, options.count);
    return found;
  }
  TWISTOR_CHECK(!options.is_shared, ErrorKind::config, "reading exact samples from " + options.file.string(),
                is_same_target(found, wanted)
                    ? fmt::format("there are {} ({}), exact.count is {}, and this run would make more by {}",
                                  found.n(), found.how, options.count, name_of(options.way))
                    : "they belong to another model, prompt or target",
                is_same_target(found, wanted)
                    ? "lower exact.count, set exact.source as it was, or choose another exact.path"
                    : "choose another exact.path, or remove the file");
  return wanted;
}

/// What a rejection for this run left unfinished, if that is more than `set` has. The file is nobody's
/// result, so one that does not fit or is damaged is forgotten.
void resume_partial(const store::ExactSamples& wanted, const SetOptions& options, SampleSet& set) {
  const std::string& how = set.samples.n() > 0 ? set.samples.how : wanted.how;
  const std::filesystem::path partial = partial_file(options.file);
  if (options.file.empty() || !std::filesystem::exists(partial)) return;
  try {
    const store::ExactSamples& found = set.samples;
    store::ExactSamples begun = store::load_exact_samples(partial);
    const bool is_more =
        begun.n_draws > found.n_draws && begun.n() < options.count && found.n() < options.count;
    // A shared file that is not there yet may have been begun under another seed.
    const bool is_ours = begun.how == how || (options.is_shared && found.n() == 0);
    if (is_more && is_same_target(begun, wanted) && is_ours && seed_of(begun, Way::rejection))
      set.samples = std::move(begun);
  } catch (const Error& error) {
    set.problem = error.what();
  }
}

/// Copies root's set to all ranks.
void share(store::ExactSamples& s, const comm::Communicator& world) {
  std::int64_t sizes[4] = {s.n(), s.length, s.n_draws, s.n_left_out};
  comm::broadcast(std::span<std::int64_t>(sizes), 0, world);
  const auto n = static_cast<std::size_t>(sizes[0]);
  s.length = sizes[1];
  s.n_draws = sizes[2];
  s.n_left_out = sizes[3];
  s.tokens.shape = {sizes[0], s.length};
  s.tokens.values.resize(n * static_cast<std::size_t>(s.length));
  s.log_p0.resize(n);
  s.log_phi.resize(n);
  comm::broadcast(std::span(s.tokens.values), 0, world);
  comm::broadcast(std::span(s.log_p0), 0, world);
  comm::broadcast(std::span(s.log_phi), 0, world);
  s.log_z = comm::broadcast_value(s.log_z, world);
  comm::broadcast(s.how, 0, world);
}

/// The sample that the continuation was drawn with.
void add_joint(const Target& target, const SetOptions& options, store::ExactSamples& out) {
  TWISTOR_CHECK(target.is_joint_exact, ErrorKind::config, "drawing exact samples",
                "exact.source = joint gives a sample of p0(s) p0(o | s), and target.beta is not 1",
                "set target.beta = 1, or exact.source = rejection or enumeration");
  TWISTOR_CHECK(!target.joint_sample.empty(), ErrorKind::config, "drawing exact samples",
                "exact.source = joint needs a continuation whose text is drawn",
                "leave target.text and target.ids empty, or choose another exact.source");
  const double log_phi = target.potential.log_phi({target.prompt, target.joint_sample, target.length})[0];
  const std::int64_t index = 0;
  const BaseSamples drawn =
      BaseSampler(target.lm, target.prompt).sample(target.length, {&index, 1}, options.seed);
  append(out, target.joint_sample, drawn.log_p0[0], log_phi);
  out.observations = {{1, static_cast<std::int64_t>(target.observation.size())},
                      {target.observation.begin(), target.observation.end()}};
  out.n_draws = 1;
}

/// Adds nothing if it is interrupted. *Local.*
void add_by_enumeration(const Target& target, const SetOptions& options, const Steering& steering,
                        store::ExactSamples& out) {
  EnumerationOptions enumeration;
  enumeration.limit = std::max(options.enumeration_limit, enumeration.limit);
  // This rank is alone here: the others wait for its set, and all agree on signals afterwards.
  enumeration.steering.interrupt = steering.wish;
  enumeration.steering.observer = [&](std::string_view what, std::int64_t done, std::int64_t wanted) {
    steering.observe(fmt::format("enumerating {}", what), done, wanted);
  };
  const std::uint64_t seed = seed_of(out, Way::enumeration).value_or(options.seed);
  const Enumeration all = enumerate(target.lm, target.potential, target.prompt, target.length, enumeration);
  if (!all.is_complete()) return;
  out.log_z = all.size() > 0 ? all.log_z() : log_zero;
  if (all.size() == 0 && options.may_be_empty) return;
  TWISTOR_CHECK(all.size() > 0, ErrorKind::data, "enumerating the target", "phi is 0 for every sequence",
                "the target is empty: check target.words, target.ids or target.text");
  for (std::int64_t i = out.n(); i < options.count; ++i) {
    const std::vector<std::int64_t> s = all.draw(seed, i);
    const double log_phi = target.potential.log_phi({target.prompt, s, out.length})[0];
    append(out, s, all.log_sigma(s) + all.log_z() - log_phi, log_phi);
  }
}

/// "N draws, acceptance A %; exact samples"
std::string rejection_text(const store::ExactSamples& s) {
  const double accepted =
      s.n_draws > 0 ? 100.0 * static_cast<double>(s.n()) / static_cast<double>(s.n_draws) : 0.0;
  return fmt::format("{} draws, acceptance {:.3g} %; exact samples", s.n_draws, accepted);
}

/// Goes on from `out`, which an earlier run may have left unfinished. False if it was interrupted.
/// *Collective over world.*
bool add_by_rejection(const Target& target, const SetOptions& options, const comm::Communicator& world,
                      const Steering& steering, store::ExactSamples& out) {
  const RejectionSampler sampler(target.lm, target.potential, {target.prompt.begin(), target.prompt.end()},
                                 out.length, seed_of(out, Way::rejection).value_or(options.seed));
  Stopwatch since_save;
  const auto save = [&] {
    if (world.rank() == 0 && !options.file.empty())
      store::write_exact_samples(partial_file(options.file), out);
    since_save.restart();
  };
  while (out.n() < options.count && out.n_draws < draws_allowed(options.budget, out.n())) {
    if (is_interrupted(steering.interrupt)) {
      save();
      return false;
    }
    add_round(sampler, {options.count, options.budget}, out, world);
    steering.observe(rejection_text(out), out.n(), options.count);
    if (since_save.seconds() > steering.save_every_s) save();
  }
  return true;
}

/// As keep().
void write(const SetOptions& options, const SampleSet& set) {
  if (set.is_new && set.samples.n() > 0) store::write_exact_samples(options.file, set.samples);
  if (options.way != Way::rejection) return;
  // Draws in vain are a finding too: the next run must not repeat them.
  if (set.samples.n() == 0) {
    if (set.is_new && set.samples.n_draws > 0)
      store::write_exact_samples(partial_file(options.file), set.samples);
    return;
  }
  std::error_code ignored;
  std::filesystem::remove(partial_file(options.file), ignored);
}

/// The right to write the set; nothing if the wait was interrupted. *Collective over world*: the first rank
/// holds it.
std::optional<FolderLock> wait_for_file(const SetOptions& options, const comm::Communicator& world,
                                        const Steering& steering) {
  for (;;) {
    std::optional<FolderLock> lock = FolderLock();
    if (world.rank() == 0) {
      std::error_code ignored;  // what is missing then shows when the lock is made
      std::filesystem::create_directories(options.file.parent_path(), ignored);
      lock = FolderLock::of_file(options.file);
    }
    if (comm::broadcast_value(lock.has_value(), world)) return lock;
    if (is_interrupted(steering.interrupt)) return std::nullopt;
    steering.observe("waiting for another run that makes them; exact samples", 0, options.count);
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
  }
}

}  // namespace

SetOptions set_options(const Options& exact, const Target& target, double most_enumerated,
                       std::int64_t enumeration_limit, std::uint64_t seed) {
  return {.way = exact.source == Way::automatic ? choose_way(target, most_enumerated) : exact.source,
          .count = exact.count,
          .budget = exact.budget,
          .enumeration_limit = enumeration_limit,
          .seed = seed,
          .file = {}};
}

Way choose_way(const Target& target, double most_enumerated) {
  if (!target.joint_sample.empty() && target.is_joint_exact) return Way::joint;
  const double n = std::pow(static_cast<double>(target.lm.vocab_size()), static_cast<double>(target.length));
  if (n <= most_enumerated) return Way::enumeration;
  return std::isfinite(target.potential.log_phi_bound()) ? Way::rejection : Way::none;
}

std::int64_t n_without_draws(Way way, std::int64_t count, bool is_file_there) {
  if (way == Way::none) return 0;
  if (way == Way::joint) return 1;
  return way == Way::enumeration || is_file_there ? count : -1;
}

BaseDraws draw_base(const Target& target, std::int64_t n, std::uint64_t seed, const comm::Communicator& world,
                    Stream stream) {
  const std::int64_t P = world.size(), r = world.rank();
  std::vector<std::int64_t> indices;
  for (std::int64_t i = n * r / P; i < n * (r + 1) / P; ++i) indices.push_back(i);
  BaseDraws mine;
  if (!indices.empty()) {
    mine.tokens = sample_base(target.lm, target.prompt, target.length, indices, seed, stream).tokens;
    mine.log_phi = target.potential.log_phi({target.prompt, mine.tokens, target.length});
  }
  return {comm::all_gather(std::span<const std::int64_t>(mine.tokens), world),
          comm::all_gather(std::span<const double>(mine.log_phi), world)};
}

std::filesystem::path partial_file(const std::filesystem::path& file) {
  std::filesystem::path out = file;
  return out.replace_extension(".partial" + file.extension().string());
}

SampleSet find(const Target& target, const SetOptions& options, const comm::Communicator& world) {
  const store::ExactSamples wanted = empty_set(target, how_of(options));
  SampleSet set{.samples = wanted};
  // Root looks for a set that is there already; whether it fits is everybody's to know.
  if (world.rank() == 0) {
    if (std::filesystem::exists(options.file)) set.samples = reuse(wanted, options, target.is_joint_exact);
    if (options.way == Way::rejection) resume_partial(wanted, options, set);
  }
  share(set.samples, world);
  // What was made by another way is taken as it is.
  const bool is_unfinished = set.samples.n() < options.count && seed_of(set.samples, options.way) &&
                             (options.way == Way::enumeration ||
                              (options.way == Way::rejection && set.samples.n_draws < options.budget));
  set.is_lacking = set.samples.n() == 0 || is_unfinished;
  return set;
}

bool make(const Target& target, const SetOptions& options, const comm::Communicator& world,
          const Steering& steering, SampleSet& set) {
  const Stopwatch watch;
  if (options.way != Way::none && !options.file.empty()) {
    std::optional<FolderLock> lock = wait_for_file(options, world, steering);
    if (!lock) return false;
    set = find(target, options, world);  // another run may have made it meanwhile
    set.lock = *std::move(lock);
    if (!set.is_lacking) return true;
  }
  if (options.way == Way::joint) add_joint(target, options, set.samples);
  if (options.way == Way::enumeration && world.rank() == 0)
    add_by_enumeration(target, options, steering, set.samples);
  const bool is_made =
      options.way != Way::rejection || add_by_rejection(target, options, world, steering, set.samples);
  share(set.samples, world);
  const bool is_stopped = options.way == Way::enumeration && set.samples.n() < options.count &&
                          !(options.may_be_empty && set.samples.is_log_z_known()) &&
                          is_interrupted(steering.interrupt);
  if (!is_made || is_stopped) {
    set.lock = {};
    return false;
  }
  set.is_lacking = false;
  set.is_new = true;
  set.seconds = watch.seconds();
  return true;
}

std::string shortfall(const SetOptions& options, const store::ExactSamples& samples) {
  if (options.way != Way::rejection || samples.n() >= options.count) return {};
  if (samples.n() == 0)
    return fmt::format(
        "rejection gave up after {} draws without any sample: one is expected to cost more than "
        "what is left of exact.budget = {}; with a larger one the next run resumes there",
        samples.n_draws, options.budget);
  return fmt::format("exact.budget = {} draws gave {} of {} exact samples; going on with those",
                     options.budget, samples.n(), options.count);
}

std::string plan(const Target& target, const SetOptions& options, const store::ExactSamples& samples) {
  std::string out;
  if (samples.n() > 0)
    out = fmt::format("{} has {}; going on: ", options.file.string(), description(options, samples));
  if (options.way == Way::enumeration)
    return out + fmt::format("enumerating {}^{} sequences", target.lm.vocab_size(), target.length);
  if (options.way != Way::rejection) return out;
  out += fmt::format("exact samples by rejection, at most {} draws", options.budget);
  if (samples.n() > 0)
    out += fmt::format(", about {:.3g} more for the {} that are missing",
                       static_cast<double>(samples.n_draws) / static_cast<double>(samples.n()) *
                           static_cast<double>(options.count - samples.n()),
                       options.count - samples.n());
  return out;
}

std::string what_is_kept(const SetOptions& options, const store::ExactSamples& samples) {
  if (options.way == Way::enumeration)
    return "run again to go on; an enumeration that is cut short begins anew";
  return fmt::format("{} of {} exact samples from {} draws are kept; run again to go on", samples.n(),
                     options.count, samples.n_draws);
}

std::string description(const SetOptions& options, const store::ExactSamples& samples) {
  if (options.way != Way::rejection || samples.n() == 0)
    return fmt::format("{} of {} exact samples", samples.n(), options.count);
  return fmt::format("{} of {} exact samples from {} draws, one in {:.3g}", samples.n(), options.count,
                     samples.n_draws,
                     static_cast<double>(samples.n_draws) / static_cast<double>(samples.n()));
}

void keep(const SetOptions& options, SampleSet& set) {
  write(options, set);
  set.lock = {};
}

}  // namespace twistor::exact
