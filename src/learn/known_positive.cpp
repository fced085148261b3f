// SPDX-License-Identifier: Apache-2.0
// A forced pass over the text that train.positive_ids names.
#include "known_positive.hpp"

#include <fmt/format.h>

#include <cmath>
#include <vector>

#include "twistor/base/error.hpp"
#include "twistor/smc/forced_pass.hpp"
#include "twistor/smc/proposal.hpp"

namespace twistor::learn {

void check_positive(const smc::Problem& problem, const TrainOptions& options) {
  const std::vector<std::int64_t>& ids = options.known_positive;
  const char* const doing = "reading train.positive_ids";
  TWISTOR_CHECK(static_cast<std::int64_t>(ids.size()) == options.length, ErrorKind::config, doing,
                fmt::format("it has {} tokens, and target.length is {}", ids.size(), options.length),
                "name all tokens of one text; `twistor tokenize` shows them");
  const std::int64_t v = problem.lm.vocab_size();
  for (const std::int64_t id : ids)
    TWISTOR_CHECK(id >= 0 && id < v, ErrorKind::config, doing,
                  fmt::format("there is no token {}, the model has {}", id, v),
                  "`twistor tokenize` shows the tokens of a text");
  const twist::NoTwist none(v);
  double log_p0 = 0;
  for (const double log_p :
       smc::forced_pass(problem, smc::Proposal(problem.lm, none, smc::ProposalKind::base), options.length,
                        ids)
           .log_p0)
    log_p0 += log_p;
  const double log_phi = problem.potential.log_phi({problem.prompt, ids, options.length})[0];
  TWISTOR_CHECK(std::isfinite(log_p0) && std::isfinite(log_phi), ErrorKind::config, doing,
                fmt::format("log p0 of this text is {}, and log phi {}", log_p0, log_phi),
                "name one that the model can write and the target accepts");
}

}  // namespace twistor::learn
