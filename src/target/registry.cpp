// The registry of potentials. A new kind: one header, one source, one line in the table here.
#include "twistor/target/registry.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>
#include <cmath>

#include "twistor/base/error.hpp"
#include "twistor/target/checked_potential.hpp"
#include "twistor/target/contains.hpp"
#include "twistor/target/continuation.hpp"
#include "twistor/target/token_scores.hpp"

namespace twistor::target {
namespace {

struct Kind {
  const char* name;
  std::unique_ptr<Potential> (*make)(const PotentialOptions&, const TargetContext&);
};

// Sorted by name.
constexpr std::array kinds = {
    Kind{"contains", make_contains},
    Kind{"continuation", make_continuation},
    Kind{"tokens", make_token_scores},
};

}  // namespace

std::int64_t TargetContext::vocab_size() const {
  if (lm != nullptr) return lm->vocab_size();
  return tokenizer != nullptr ? tokenizer->vocab_size() : 0;
}

std::unique_ptr<Potential> make_potential(const PotentialOptions& options, const TargetContext& context) {
  const std::string doing = fmt::format("making the potential '{}'", options.name);
  TWISTOR_CHECK(std::isfinite(options.beta), ErrorKind::config, doing,
                fmt::format("target.beta is {} (expected a finite number)", options.beta));
  for (const Kind& kind : kinds)
    if (options.name == kind.name)
      return std::make_unique<CheckedPotential>(kind.name, kind.make(options, context), context.vocab_size());
  throw Error(ErrorKind::config, doing,
              fmt::format("there is no such potential (known: {})", fmt::join(potential_names(), ", ")),
              "set target.potential to one of them");
}

std::vector<std::string> potential_names() {
  std::vector<std::string> names;
  for (const Kind& kind : kinds) names.emplace_back(kind.name);
  return names;
}

}  // namespace twistor::target
