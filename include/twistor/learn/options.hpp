// What learning can be told.
#pragma once

#include <array>
#include <cstdint>

#include "twistor/base/names.hpp"
#include "twistor/config/key.hpp"
#include "twistor/learn/adam.hpp"

namespace twistor::learn {

/// Where positive samples come from, for objectives that have such.
enum class Positives {
  exact,     ///< exact samples of sigma
  weighted,  ///< samples of q with weights softmax(log p0 phi / q), from the batch that q gives anyway
  both,      ///< half the weight each
};
constexpr auto names_of(Positives) {
  return std::array{Named{Positives::exact, "exact"}, Named{Positives::weighted, "weighted"},
                    Named{Positives::both, "both"}};
}

/// What objectives are made of; each reads what it has use for.
struct ObjectiveOptions {
  std::int64_t batch = 64;           ///< samples of q per update, all ranks together
  std::int64_t positive_batch = 64;  ///< exact samples per update
  Positives positives = Positives::weighted;
  std::int64_t inner_epochs = 1;  ///< steps of the optimizer on each batch; its weights follow the twist
  std::int64_t anneal = 0;        ///< first updates in which annealed_power() may lower phi's exponent
  double anneal_ess = 8;          ///< its least_ess
  void visit_keys(const config::Visitor& visit);
};

struct TrainOptions {
  std::int64_t length = 1;    ///< T
  std::int64_t n_shards = 8;  ///< fixed parts of a batch; ranks own whole shards
  AdamOptions adam;
  std::uint64_t seed = 1;
  /// Step size and shards; the rest belongs to a run.
  void visit_keys(const config::Visitor& visit);
};

}  // namespace twistor::learn
