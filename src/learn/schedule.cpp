// Epochs.
#include "twistor/learn/schedule.hpp"

#include <algorithm>

namespace twistor::learn {

std::vector<std::int64_t> epoch_ends(Schedule schedule, std::int64_t n_updates, std::int64_t n_epochs) {
  std::vector<std::int64_t> ends;
  if (schedule == Schedule::doubling) {
    for (std::int64_t end = 2; end < n_updates; end *= 2) ends.push_back(end);
  } else {
    for (std::int64_t epoch = 1; epoch < n_epochs; ++epoch) {
      const std::int64_t end = n_updates / n_epochs * epoch + std::min(epoch, n_updates % n_epochs);
      if (end > (ends.empty() ? 0 : ends.back()) && end < n_updates) ends.push_back(end);
    }
  }
  ends.push_back(n_updates);
  return ends;
}

}  // namespace twistor::learn
