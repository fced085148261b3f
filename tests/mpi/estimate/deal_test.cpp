// SPDX-License-Identifier: Apache-2.0
// Pieces of work dealt out to groups: each is done once, whoever does it, and work that was stopped goes on.
#include "twistor/estimate/deal.hpp"

#include <gtest/gtest.h>

#include "twistor/comm/collectives.hpp"

namespace twistor::estimate {
namespace {

/// Piece i gives i + 1 numbers; `n_done` counts what this rank has worked on.
Deal squares(std::span<const double> costs, int& n_done) {
  return {"pieces", costs, [&n_done](std::int64_t i, const Steering&) -> std::optional<std::vector<double>> {
            ++n_done;
            return std::vector<double>(static_cast<std::size_t>(i + 1), static_cast<double>(i * i));
          }};
}

TEST(DealOut, DoesEveryPieceOnceUnderAnyGrouping) {
  const comm::Communicator world = comm::Communicator::world();
  const std::vector<double> costs{1, 5, 2, 2, 9, 1, 1};
  for (const int size : {0, 1}) {
    const comm::Groups groups = comm::make_groups(world, size);
    Pieces found;
    int n_done = 0;
    ASSERT_TRUE(deal_out(squares(costs, n_done), world, groups, {}, found));
    ASSERT_EQ(found.size(), costs.size());
    for (const auto& [i, numbers] : found)
      EXPECT_EQ(numbers, std::vector<double>(static_cast<std::size_t>(i + 1), static_cast<double>(i * i)));
    const int n_all = comm::all_reduce_sum(groups.group.rank() == 0 ? n_done : 0, world);
    EXPECT_EQ(n_all, static_cast<int>(costs.size())) << "groups of " << size;
  }
}

TEST(DealOut, GoesOnFromWhatWasFound) {
  const comm::Communicator world = comm::Communicator::world();
  const comm::Groups groups = comm::make_groups(world, 1);
  const std::vector<double> costs(20, 1);
  Pieces found;
  int n_done = 0;
  const Deal deal = squares(costs, n_done);
  int n_asked = 0;
  const Interrupt second = [&] { return ++n_asked > 1; };
  EXPECT_FALSE(deal_out(deal, world, groups,
                        {.interrupt = second, .observer = {}, .wish = {}, .save_every_s = 0}, found));
  EXPECT_EQ(static_cast<int>(found.size()), 2 * world.size()) << "two rounds of one piece for each group";
  const Pieces kept = pieces_from_numbers(to_numbers(found));
  EXPECT_EQ(kept, found);
  ASSERT_TRUE(deal_out(deal, world, groups, {}, found));
  EXPECT_EQ(found.size(), costs.size());
  EXPECT_EQ(comm::all_reduce_sum(n_done, world), static_cast<int>(costs.size()));
}

TEST(DealOut, RefusesPiecesThatAreCutShort) {
  std::vector<double> numbers = to_numbers(Pieces{{3, {1, 2}}});
  numbers.pop_back();
  EXPECT_ANY_THROW((void)pieces_from_numbers(numbers));
  EXPECT_ANY_THROW((void)pieces_from_numbers(std::vector<double>{1}));
  EXPECT_TRUE(pieces_from_numbers({}).empty());
}

}  // namespace
}  // namespace twistor::estimate
