// Sums of gradients over shards.
#include "gradient_sum.hpp"

#include <utility>

#include "twistor/base/error.hpp"
#include "twistor/comm/tree_reduce.hpp"

namespace twistor::learn {

GradientSum::GradientSum(std::span<const twist::Parameter> parameters, std::size_t n_local,
                         std::int64_t first_shard, std::int64_t n_shards)
    : parameters_(parameters), first_shard_(first_shard), n_shards_(n_shards), blocks_(parameters.size()) {
  TWISTOR_ASSERT(n_local > 0, "every rank owns a shard");
  for (auto& shards : blocks_) shards.resize(n_local);
}

twist::GradientSink GradientSum::sink(std::size_t i) {
  return [this, i](twist::GradientBlock block) {
    const std::size_t parameter = block.parameter;
    blocks_[parameter][i] = std::move(block);
  };
}

twist::GradientBlock GradientSum::take(std::size_t parameter, const comm::Communicator& world) {
  const twist::Parameter& p = parameters_[parameter];
  std::vector<twist::GradientBlock> mine = std::move(blocks_[parameter]);
  if (p.has_row_gradient) {
    std::vector<comm::RowSparse> leaves;
    for (twist::GradientBlock& block : mine)
      leaves.push_back({std::move(block.rows), std::move(block.values), p.width()});
    comm::RowSparse sum = comm::tree_all_reduce(std::move(leaves), first_shard_, n_shards_, world);
    return {parameter, std::move(sum.rows), std::move(sum.values)};
  }
  std::vector<std::span<float>> leaves;
  for (twist::GradientBlock& block : mine) {
    block.values.resize(p.value.size());
    leaves.emplace_back(block.values);
  }
  const std::span<float> sum = leaves.front();
  comm::tree_all_reduce(std::move(leaves), first_shard_, n_shards_, sum, world);
  return {parameter, {}, std::move(mine.front().values)};
}

}  // namespace twistor::learn
