// The state of a twist.
#include "twistor/learn/state.hpp"

#include <fmt/format.h>

#include "twistor/base/error.hpp"

namespace twistor::learn {

void visit_twist(twist::Trainable& twist, StateVisitor& visitor) {
  std::string link(twist.link());
  visitor.text("link", link);
  TWISTOR_CHECK(link == twist.link(), ErrorKind::config, "restoring the twist",
                fmt::format("its link is {}, and that of this run's twist.form {} is {}", link, twist.form(),
                            twist.link()),
                "set twist.form back, or choose another run.output to start anew");
  for (twist::Parameter& p : twist.parameters()) visitor.array("parameters", p, p.value);
  if (visitor.is_restoring()) twist.refresh();
}

}  // namespace twistor::learn
