// How the updates of learning are divided into epochs.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "twistor/base/names.hpp"

namespace twistor::learn {

enum class Schedule {
  fixed,     ///< so many epochs, as equal as possible
  doubling,  ///< 2, 4, 8, ... updates (Zhao et al. 2024, app. on training: epoch e has 2^e, epoch 0 has 2)
};
constexpr auto names_of(Schedule) {
  return std::array{Named{Schedule::fixed, "fixed"}, Named{Schedule::doubling, "doubling"}};
}

/// Numbers of updates after which epochs end, increasing, the last being `n_updates`. `n_epochs` counts for
/// fixed ones alone.
[[nodiscard]] std::vector<std::int64_t> epoch_ends(Schedule schedule, std::int64_t n_updates,
                                                   std::int64_t n_epochs);

}  // namespace twistor::learn
