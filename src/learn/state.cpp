// SPDX-License-Identifier: Apache-2.0
// The state of a twist.
#include "twistor/learn/state.hpp"

#include <fmt/format.h>

#include <utility>

#include "twistor/base/error.hpp"

namespace twistor::learn {

void visit_twist(twist::Trainable& twist, StateVisitor& visitor) {
  const std::string own(name_of(twist.link()));
  std::string link = own;
  visitor.text("link", link);
  TWISTOR_CHECK(link == own, ErrorKind::config, "restoring the twist",
                fmt::format("its link is {}, and that of this run's twist is {}", link, own),
                "set train.objective back, or choose another run.output to start anew");
  constexpr std::string_view folder = "parameters";
  for (twist::Parameter& p : twist.parameters())
    visitor.is_restoring() ? p.value.replace(visitor.saved(folder, p))
                           : visitor.save(folder, p, std::as_const(p.value));
  if (visitor.is_restoring()) twist.refresh();
}

}  // namespace twistor::learn
