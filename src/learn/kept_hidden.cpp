// SPDX-License-Identifier: Apache-2.0
// A list in the order of use, and where each number stands in it.
#include "twistor/learn/kept_hidden.hpp"

#include "twistor/base/error.hpp"

namespace twistor::learn {

at::Tensor KeptHidden::find(std::int64_t number) {
  const auto found = places_.find(number);
  if (found == places_.end()) return {};
  by_use_.splice(by_use_.begin(), by_use_, found->second);
  return found->second->second;
}

void KeptHidden::put(std::int64_t number, const at::Tensor& hidden) {
  TWISTOR_ASSERT(!places_.contains(number), "a number has one tensor");
  by_use_.emplace_front(number, hidden);
  places_[number] = by_use_.begin();
  bytes_ += static_cast<std::int64_t>(hidden.nbytes());
  while (bytes_ > budget_bytes_) {
    bytes_ -= static_cast<std::int64_t>(by_use_.back().second.nbytes());
    places_.erase(by_use_.back().first);
    by_use_.pop_back();
  }
}

void KeptHidden::require_revision(std::int64_t revision) {
  if (revision == revision_) return;
  by_use_.clear();
  places_.clear();
  bytes_ = 0;
  revision_ = revision;
}

}  // namespace twistor::learn
