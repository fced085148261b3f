// The keys exact.*.
#include "twistor/exact/options.hpp"

#include "twistor/config/make_key.hpp"

namespace twistor::exact {

void Options::visit_keys(const config::Visitor& visit) {
  using config::count_from, config::key, config::learning;
  visit(learning(key("source", "how exact samples are made")), config::Choice(source));
  visit(learning(key("count", "exact samples to make", count_from(1))), &count);
  visit(key("budget", "most sequences that rejection draws", count_from(1)), &budget);
  visit(key("path", "file of exact samples, empty: run.output/exact.h5"), &path);
}

}  // namespace twistor::exact
