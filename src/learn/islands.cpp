// SPDX-License-Identifier: Apache-2.0
// What islands say together.
#include "islands.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <string_view>

#include "twistor/base/error.hpp"
#include "twistor/base/reproducible_sum.hpp"
#include "twistor/base/strings.hpp"
#include "twistor/comm/collectives.hpp"

namespace twistor::learn {
namespace {

void scale_parts(std::vector<std::vector<double>>& parts, double factor) {
  for (std::vector<double>& part : parts)
    for (double& x : part) x *= factor;
}

/// Of the first batch that has one.
double log_z_of(std::span<const Batch> batches) {
  for (const Batch& batch : batches)
    if (batch.request.source != Source::exact && !is_population(batch.request.source) &&
        !std::isnan(batch.log_z))
      return batch.log_z;
  return std::numeric_limits<double>::quiet_NaN();
}

/// What is worth watching of one: means of its batch of q, then what the objective says.
std::vector<std::pair<std::string, double>> numbers_of(const Island& island, const comm::Communicator& self) {
  std::vector<std::pair<std::string, double>> numbers;
  for (const Batch& batch : island.batches) {
    if (batch.request.source != Source::proposal || !numbers.empty()) continue;
    const BatchMeans means = means_of(batch, self);
    numbers = {{"f_q", means.f_q}, {"log_phi", means.log_phi}};
  }
  numbers.insert(numbers.end(), island.terms.numbers.begin(), island.terms.numbers.end());
  return numbers;
}

double value_of(const std::vector<std::pair<std::string, double>>& numbers, std::string_view name) {
  const auto found = std::ranges::find(numbers, name, [](const auto& one) { return one.first; });
  return found == numbers.end() ? std::numeric_limits<double>::quiet_NaN() : found->second;
}

}  // namespace

std::vector<FixedPointSum> Islands::sums_of_all(const Objective& objective, const twist::Trainable& twist,
                                                std::int64_t update) const {
  std::vector<FixedPointSum> sums(static_cast<std::size_t>(objective.n_sums()));
  if (sums.empty()) return sums;
  for (const Island& island : mine_)
    objective.add_sums(island.batches, {island.problem(), twist, update}, sums);
  comm::all_reduce(std::span(sums), world_);
  return sums;
}

void Islands::ask(Island& island, const Objective& objective, const Current& current) const {
  island.terms = objective.terms(island.batches, current, self_);
  if (island.terms.skipped.empty()) return;
  for (auto* const parts : {&island.terms.on_score, &island.terms.on_log_q, &island.terms.on_value})
    parts->assign(island.batches.size(), {});
  island.terms.loss.emplace();
}

Islands::Summary Islands::summarise() {
  std::vector<Numbers> numbers;
  for (Island& island : mine_) {
    numbers.push_back(numbers_of(island, self_));
    const double share = 1.0 / static_cast<double>(n_);
    for (auto* const parts : {&island.terms.on_score, &island.terms.on_log_q, &island.terms.on_value})
      scale_parts(*parts, share);
  }
  auto [names, skipped] = what_is_told(numbers);
  const std::vector<std::string_view> columns = split(names, ',');
  // A row for each island: whether it is skipped, log Z, loss, then the numbers.
  std::vector<double> rows;
  for (std::size_t i = 0; i < mine_.size(); ++i) {
    const Terms& terms = mine_[i].terms;
    rows.insert(rows.end(),
                {terms.skipped.empty() ? 0.0 : 1.0, log_z_of(mine_[i].batches), terms.loss->value()});
    for (const std::string_view name : columns)
      if (!name.empty()) rows.push_back(value_of(numbers[i], name));
  }
  const std::vector<double> all = comm::all_gather(std::span<const double>(rows), world_);
  const std::size_t m = static_cast<std::size_t>(n_), width = all.size() / m;
  const auto mean = [&](std::size_t column, bool takes_known = false) {  // in the order of islands
    double sum = 0, n = 0;
    for (std::size_t i = 0; i < m; ++i) {
      const double x = all[i * width + column];
      if (takes_known && std::isnan(x)) continue;
      sum += x;
      n += 1;
    }
    return sum / n;
  };
  Summary out{.log_z = mean(1), .loss = mean(2), .numbers = {}, .skipped = {}};
  std::size_t column = 3;
  for (const std::string_view name : columns)
    if (!name.empty()) out.numbers.emplace_back(name, mean(column++, true));
  if (mean(0) == 1) out.skipped = skipped;
  return out;
}

/// An island that is skipped may have fewer numbers, so the first that is not says what they are.
std::pair<std::string, std::string> Islands::what_is_told(const std::vector<Numbers>& numbers) const {
  const std::int64_t P = world_.size(), r = world_.rank();
  std::string names, skipped;
  std::int64_t claim = 0;  // 2 P - r with an island that is not skipped, P - r with others
  for (std::size_t i = 0; i < mine_.size() && claim <= P; ++i) {
    const bool is_skipped = !mine_[i].terms.skipped.empty();
    if (is_skipped && claim > 0) continue;
    claim = (is_skipped ? P : 2 * P) - r;
    skipped = mine_[i].terms.skipped;
    names.clear();
    for (const auto& [name, value] : numbers[i]) names += names.empty() ? name : "," + name;
  }
  const std::int64_t best = comm::all_reduce_max(claim, world_), speaker = best > P ? 2 * P - best : P - best;
  comm::broadcast(names, static_cast<int>(speaker), world_);
  comm::broadcast(skipped, static_cast<int>(speaker), world_);
  return {names, skipped};
}

std::span<const Island> Islands::of_shard(std::int64_t s) const {
  const auto begin = static_cast<std::size_t>(shards_.begin(n_, s)),
             end = static_cast<std::size_t>(shards_.begin(n_, s + 1));
  return std::span(mine_).subspan(begin, end - begin);
}

std::vector<std::int64_t> Islands::indices() const {
  std::vector<std::int64_t> out(static_cast<std::size_t>(shards_.begin(n_, shards_.n_local)));
  std::iota(out.begin(), out.end(), shards_.begin_of_rank(n_));
  return out;
}

}  // namespace twistor::learn
