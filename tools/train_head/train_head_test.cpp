// SPDX-License-Identifier: Apache-2.0
// The parts of train_head: reading, dividing, and the minimiser against problems whose answers are known.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "support/temporary_folder.hpp"
#include "train_head/examples.hpp"
#include "train_head/logistic.hpp"
#include "twistor/base/error.hpp"
#include "twistor/base/philox.hpp"

namespace twistor::train_head {
namespace {

TEST(Examples, AreReadFromLinesAndTables) {
  const test::TemporaryFolder folder;
  Examples examples;
  add_lines(examples, "good", folder.write("good", "fine\r\n\nvery fine"));
  add_table(examples, folder.write("table", "bad\tawful\ngood\ta\tb\n"));
  EXPECT_THAT(examples.classes, testing::ElementsAre("good", "bad"));
  EXPECT_THAT(examples.texts, testing::ElementsAre("fine", "very fine", "awful", "a\tb"));
  EXPECT_THAT(examples.labels, testing::ElementsAre(0, 0, 1, 0));
  EXPECT_THROW(add_table(examples, folder.write("none", "bad awful\n")), Error);
  EXPECT_THROW(add_lines(examples, "good", folder.path() / "missing"), Error);
  EXPECT_THROW(add_lines(examples, "good", folder.path()), Error);
}

TEST(Examples, TheDivisionDependsOnTheIndexAlone) {
  std::int64_t n_test = 0;
  for (std::int64_t i = 0; i < 10000; ++i) n_test += is_test(i, 0.1) ? 1 : 0;
  EXPECT_NEAR(static_cast<double>(n_test), 1000, 100) << "3.3 standard deviations of independent draws";
  EXPECT_FALSE(is_test(5, 0));
  EXPECT_TRUE(is_test(5, 1));
}

TEST(Minimise, FindsTheMinimumOfAnIllConditionedQuadratic) {
  const auto quadratic = [](std::span<const double> x, std::span<double> g) {
    double sum = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
      const double weight = std::pow(10.0, static_cast<double>(i)), at = x[i] - static_cast<double>(i);
      sum += 0.5 * weight * at * at;
      g[i] = weight * at;
    }
    return sum;
  };
  const Minimum minimum = minimise(quadratic, std::vector<double>(5, 10.0), 1e-9, 1000);
  EXPECT_LE(minimum.largest_gradient, 1e-9);
  for (std::size_t i = 0; i < 5; ++i) EXPECT_NEAR(minimum.x[i], static_cast<double>(i), 1e-8);
}

struct Data {
  Data() {
    Philox random(1, Stream::test, 0, 0);
    for (std::int64_t i = 0; i < 60; ++i) {
      for (int d = 0; d < 3; ++d) x.push_back(static_cast<float>(random.uniform() - 0.5));
      y.push_back(static_cast<std::int64_t>(random.below(3)));
    }
  }
  std::vector<float> x;
  std::vector<std::int64_t> y;
};

TEST(Logistic, TheGradientIsThatOfTheLoss) {
  const Data data;
  const Objective loss = loss_of({data.x, data.y, 3, 0.05});
  std::vector<double> at(12), gradient(12), unused(12);
  for (std::size_t i = 0; i < at.size(); ++i) at[i] = std::sin(static_cast<double>(i));
  (void)loss(at, gradient);
  for (std::size_t i = 0; i < at.size(); ++i) {
    const double h = 1e-5, x = at[i];
    at[i] = x + h;
    const double above = loss(at, unused);
    at[i] = x - h;
    const double below = loss(at, unused);
    at[i] = x;
    EXPECT_NEAR(gradient[i], (above - below) / (2 * h), 1e-9) << i;
  }
}

TEST(Logistic, WithoutFeaturesItIsTheClassFrequencies) {
  const std::vector<float> x(8, 0.0F);
  const std::vector<std::int64_t> y{0, 1, 1, 1, 2, 2, 1, 0};
  const Minimum minimum = minimise(loss_of({x, y, 3, 1e-3}), std::vector<double>(6, 0.0), 1e-10, 200);
  EXPECT_NEAR(minimum.x[4] - minimum.x[3], std::log(4.0 / 2.0), 1e-8);
  EXPECT_NEAR(minimum.x[5] - minimum.x[3], 0.0, 1e-8);
  EXPECT_NEAR(minimum.value, 0.5 * std::log(2.0) + 0.5 * std::log(4.0), 1e-12) << "the entropy";
}

}  // namespace
}  // namespace twistor::train_head
