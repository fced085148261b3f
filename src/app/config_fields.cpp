// The table of configuration keys.
#include "twistor/app/config_fields.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <limits>
#include <numeric>

#include "twistor/base/error.hpp"
#include "twistor/base/names.hpp"
#include "twistor/estimate/draws.hpp"
#include "twistor/learn/trainer.hpp"
#include "twistor/potential/option_values.hpp"
#include "twistor/potential/registry.hpp"

namespace twistor::app {
namespace {

// A key and its member have one name, unless that is a word of the language.
#define TWISTOR_FIELD(section, name) \
#section "." #name, [](Config & c) -> FieldPointer { return &c.section.name; }

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double most_particles = 2147483646.0;  // the resampling schemes count in 31 bits
constexpr double most_counted = 1e15;            // well inside what a double counts exactly

constexpr Range count_from(double low) {
  return {low, most_counted, true, true};
}

std::vector<Field> make_fields() {
  const Range positive{0, infinity, false, false};
  const Range non_negative{0, infinity, true, false};
  return {
      {TWISTOR_FIELD(model, path),
       "language model: a folder in Hugging Face layout or a .gguf file (required)",
       {},
       {}},
      {TWISTOR_FIELD(model, dtype), "arithmetic of its matrix products", {}, choices_of<device::Precision>()},

      {TWISTOR_FIELD(prompt, text), "prompt as text (this or prompt.ids is required)", {}, {}},
      {TWISTOR_FIELD(prompt, ids), "prompt as token ids", {}, {}},

      {TWISTOR_FIELD(target, potential), "what makes a sequence good", {}, potential::potential_names()},
      {TWISTOR_FIELD(target, length), "T, tokens to generate", {1, 1048576}, {}},
      {TWISTOR_FIELD(target, beta), "exponent of phi", positive, {}},
      {TWISTOR_FIELD(target, text),
       "continuation: the text that should follow; similarity: to resemble",
       {},
       {}},
      {TWISTOR_FIELD(target, ids),
       "continuation: the tokens that should follow; contains: any of these",
       {},
       {}},
      {TWISTOR_FIELD(target, words), "contains: any of these words or phrases, separated by commas", {}, {}},
      {TWISTOR_FIELD(target, table), "tokens: file of scores", {}, {}},
      {TWISTOR_FIELD(target, mode),
       "scores of all tokens or words added up (tokens, lexicon), the last one's (tokens), the mean "
       "(lexicon)",
       {},
       choices_of<potential::ScoreMode, potential::LexiconMode>()},
      {TWISTOR_FIELD(target, lexicon), "lexicon: file of words and their valences", {}, {}},
      {TWISTOR_FIELD(target, cap),
       "lexicon: the valence of a text counts up to here",
       {-infinity, infinity},
       {}},
      {TWISTOR_FIELD(target, pattern), "regex: what must match somewhere in the text", {}, {}},
      {TWISTOR_FIELD(target, log_floor),
       "contains, regex: log phi of a sequence without any match",
       {-infinity, 0},
       {}},
      {TWISTOR_FIELD(target, classifier), "classifiers: folder of the model", {}, {}},
      {TWISTOR_FIELD(target, encoder), "similarity, linear_head: folder of a sentence encoder", {}, {}},
      {TWISTOR_FIELD(target, head), "linear_head: file of the head", {}, {}},
      {TWISTOR_FIELD(target, dtype),
       "arithmetic of the potential's own model",
       {},
       choices_of<device::Precision>()},
      {"target.class",
       [](Config& c) -> FieldPointer { return &c.target.class_name; },
       "classifiers: the class whose probability counts",
       {},
       {}},
      {TWISTOR_FIELD(target, negate),
       "classifiers: the probability that it is not this class counts",
       {},
       {}},
      {TWISTOR_FIELD(target, rule),
       "classifiers: how phi follows from it",
       {},
       choices_of<potential::RuleKind>()},
      {TWISTOR_FIELD(target, threshold),
       "classifiers: log-odds to exceed, for rule = threshold",
       {-infinity, infinity, false, false},
       {}},
      {"target.template",
       [](Config& c) -> FieldPointer { return &c.target.template_text; },
       "judge: what the model is asked about a text, with {text} in it",
       {},
       {}},
      {TWISTOR_FIELD(target, answer), "judge: the answer whose probability counts", {}, {}},
      {TWISTOR_FIELD(target, command), "process: command that reads texts and writes numbers", {}, {}},
      {TWISTOR_FIELD(target, timeout_s), "process: longest silence", positive, {}},
      {TWISTOR_FIELD(target, scope),
       "kinds that read text: prompt and generation or the latter alone",
       {},
       choices_of<potential::TextScope>()},
      {TWISTOR_FIELD(target, stop_at_eos), "whether a generated end-of-text token ends the text", {}, {}},
      {TWISTOR_FIELD(target, end_token), "end-of-text token, where the model's files name none", {}, {}},
      {TWISTOR_FIELD(target, observation_length),
       "continuation: tokens to draw jointly where none are given",
       {1, 1048576},
       {}},

      {TWISTOR_FIELD(twist, form), "head on the model's hidden states", {}, {"linear", "mlp"}},
      {TWISTOR_FIELD(twist, init_scale),
       "factor on the spread of the output layer's initial weights; 0: psi = 1",
       non_negative,
       {}},

      {TWISTOR_FIELD(smc, particles), "K, particles in one population", {1, most_particles}, {}},
      {TWISTOR_FIELD(smc, resampling), "resampling scheme", {}, choices_of<smc::SchemeKind>()},
      {TWISTOR_FIELD(smc, trigger), "when to resample", {}, choices_of<smc::Trigger>()},
      {TWISTOR_FIELD(smc, ess_threshold),
       "trigger = ess: resample below this share of K",
       {0, 1, false, true},
       {}},
      {TWISTOR_FIELD(smc, proposal), "what draws the tokens", {}, choices_of<smc::ProposalKind>()},
      {TWISTOR_FIELD(smc, proposal_beta), "proposal = tempered: factor on log psi", non_negative, {}},
      {TWISTOR_FIELD(smc, order), "twisted proposal: order within a step", {}, choices_of<smc::Order>()},

      {TWISTOR_FIELD(train, objective), "loss", {}, choices_of<learn::Objective>()},
      {TWISTOR_FIELD(train, updates), "updates in all", count_from(0), {}},
      {TWISTOR_FIELD(train, batch), "negative samples per update", {1, most_particles}, {}},
      {TWISTOR_FIELD(train, positives),
       "where positive samples come from",
       {},
       choices_of<learn::Positives>()},
      {TWISTOR_FIELD(train, positive_batch), "positive samples per update", {1, most_particles}, {}},
      {TWISTOR_FIELD(train, learning_rate), "Adam's step size", positive, {}},
      {TWISTOR_FIELD(train, schedule), "lengths of epochs", {}, {"fixed", "doubling"}},
      {TWISTOR_FIELD(train, epochs), "schedule = fixed: number of epochs", {1, 1000000}, {}},
      {TWISTOR_FIELD(train, shards),
       "fixed parts of a batch, for the same sums on any number of ranks",
       {1, 65536},
       {}},
      {TWISTOR_FIELD(train, checkpoint_every),
       "updates between checkpoints, 0: only at the end",
       count_from(0),
       {}},
      {TWISTOR_FIELD(train, evaluate), "evaluate before each epoch and at the end", {}, {}},

      {TWISTOR_FIELD(evaluate, repeats), "runs of each estimator of log Z", count_from(1), {}},
      {TWISTOR_FIELD(evaluate, samples), "samples for each KL divergence", count_from(1), {}},
      {TWISTOR_FIELD(evaluate, checkpoint), "twist to use, empty: run.output/checkpoint.h5", {}, {}},
      {TWISTOR_FIELD(evaluate, base),
       "evaluate the base model too, psi = 1 and q = p0, to compare with",
       {},
       {}},
      {TWISTOR_FIELD(evaluate, enumerate), "exact log Z by enumeration", {}, {"auto", "never", "always"}},
      {TWISTOR_FIELD(evaluate, enumeration_limit), "enumerate = auto: most sequences", {1, 4294967296.0}, {}},

      {TWISTOR_FIELD(exact, source),
       "how exact samples are made",
       {},
       {"auto", "enumeration", "rejection", "joint"}},
      {TWISTOR_FIELD(exact, count), "exact samples to make", count_from(1), {}},
      {TWISTOR_FIELD(exact, budget), "most sequences that rejection draws", count_from(1), {}},
      {TWISTOR_FIELD(exact, path), "file of exact samples, empty: run.output/exact.h5", {}, {}},

      {TWISTOR_FIELD(sample, count), "sequences to draw", count_from(1), {}},
      {TWISTOR_FIELD(sample, from),
       "one particle of each of count populations, or all particles with weights",
       {},
       choices_of<estimate::DrawFrom>()},
      {TWISTOR_FIELD(sample, unique), "write repeated texts once, with their number", {}, {}},
      {TWISTOR_FIELD(sample, top),
       "write only so many, the best by log phi (draws) or weight (population); 0: all",
       count_from(0),
       {}},
      {TWISTOR_FIELD(sample, format), "format of the file", {}, {"jsonl", "csv"}},
      {TWISTOR_FIELD(sample, path), "file to write, empty: run.output/samples.jsonl or .csv", {}, {}},

      {TWISTOR_FIELD(run, seed), "seed of all random numbers", {}, {}},
      {TWISTOR_FIELD(run, output), "folder of all that the run writes", {}, {}},
      {TWISTOR_FIELD(run, ranks_per_population), "ranks that share one population, 0: all", {0, 1048576}, {}},
      {TWISTOR_FIELD(run, resume), "go on from a checkpoint in run.output", {}, {"auto", "never", "require"}},
      {TWISTOR_FIELD(run, device), "where tensors live", {}, {"cpu", "cuda"}},
      {TWISTOR_FIELD(run, progress), "show a progress line", {}, {}},
  };
}

#undef TWISTOR_FIELD

// Levenshtein distance.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i + 1;
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, diagonal + 1, row[j] + 1});
    }
  }
  return row[b.size()];
}

std::string_view after_dot(std::string_view key) {
  return key.substr(key.find('.') + 1);
}

// The key nearest to a wrong one; empty if none is near.
std::string_view nearest_key(std::string_view wrong) {
  constexpr std::size_t longest = 64;  // of a name worth comparing; keeps the work bounded for any input
  if (wrong.size() > longest) return {};
  for (const Field& field : fields()) {  // the right name in the wrong section, or in none
    if (after_dot(wrong) == after_dot(field.key)) return field.key;
  }
  const auto distance = [&](const Field& field) { return edit_distance(wrong, field.key); };
  const auto nearest = std::ranges::min_element(fields(), {}, distance);
  return distance(*nearest) <= std::max<std::size_t>(2, wrong.size() / 3) ? nearest->key : std::string_view{};
}

}  // namespace

std::span<const Field> fields() {
  static const std::vector<Field> table = make_fields();
  return table;
}

const Field* find_field(std::string_view key) {
  const auto found = std::ranges::find(fields(), key, &Field::key);
  return found == fields().end() ? nullptr : &*found;
}

const Field& require_field(std::string_view key, const std::string& doing) {
  const Field* field = find_field(key);
  if (field == nullptr) {
    const std::string_view nearest = nearest_key(key);
    throw Error(ErrorKind::config, doing, fmt::format("unknown key '{:.80}'", key),
                nearest.empty() ? "configs/reference.cfg explains every key"
                                : fmt::format("did you mean {}?", nearest));
  }
  return *field;
}

}  // namespace twistor::app
