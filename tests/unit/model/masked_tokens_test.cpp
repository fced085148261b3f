// Masked rows of a vocabulary against renormalising by hand.
#include "twistor/model/masked_tokens.hpp"

#include <gmock/gmock.h>

#include <cmath>

#include "support/error_of.hpp"
#include "twistor/base/log_space.hpp"
#include "twistor/model/absorbing.hpp"
#include "twistor/model/log_prob.hpp"
#include "twistor/model/tabular.hpp"

namespace twistor::model {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using Tokens = std::vector<std::int64_t>;

constexpr std::int64_t V = 7;

/// Has some ids, and letters for them.
class Sparse final : public text::Tokenizer {
 public:
  explicit Sparse(Tokens ids) : ids_(std::move(ids)) {}
  std::int64_t vocab_size() const override { return ids_.empty() ? 0 : ids_.back() + 1; }
  Tokens encode(std::string_view) const override { return {}; }
  text::Encoding encode_with_template(std::string_view, std::int64_t) const override { return {}; }
  std::string decode(std::span<const std::int64_t>) const override { return {}; }
  std::optional<std::int64_t> token_to_id(std::string_view) const override { return std::nullopt; }
  bool has_token(std::int64_t id) const override { return std::ranges::find(ids_, id) != ids_.end(); }
  Tokens end_ids() const override { return {}; }
  std::string description() const override { return "sparse"; }

 private:
  Tokens ids_;
};

class Masked : public testing::Test {
 protected:
  [[nodiscard]] std::shared_ptr<const LanguageModel> masked(const Tokens& known) const {
    return mask_padded_tokens(std::make_unique<TabularModel>(TabularModel::random(V, 5, 3)), Sparse(known));
  }
  TabularModel whole = TabularModel::random(V, 5, 3);
};

TEST_F(Masked, RowsThatNoTokenHasAreFound) {
  EXPECT_TRUE(padded_tokens(whole, Sparse({0, 1, 2, 3, 4, 5, 6})).empty());
  EXPECT_TRUE(padded_tokens(whole, Sparse({0, 1, 2, 3, 4, 5, 6, 7, 8})).empty()) << "a larger tokenizer";
  EXPECT_THAT(padded_tokens(whole, Sparse({0, 1, 2, 3, 4})), ElementsAre(TokenRange{5, 7}));
  const auto holes = padded_tokens(whole, Sparse({1, 3, 4, 6}));
  EXPECT_THAT(holes, ElementsAre(TokenRange{0, 1}, TokenRange{2, 3}, TokenRange{5, 6}));
  EXPECT_EQ(describe(holes), "3 rows (ids 0, 2, 5)");
  EXPECT_EQ(describe({{5, 7}}), "2 rows (ids 5-6)");
  EXPECT_EQ(describe({{5, 6}}), "1 row (id 5)");
  EXPECT_EQ(describe({{0, 1}, {2, 3}, {4, 5}, {6, 7}}), "4 rows (ids 0, 2, 4, ...)");
}

TEST_F(Masked, OthersShareTheirProbability) {
  const auto lm = masked({0, 1, 3, 4});
  const auto cache = whole.make_cache(1), same = lm->make_cache(1);
  const Tokens prompt{1, 3, 2};  // a masked token may stand in a prompt
  const at::Tensor hidden = whole.forward(prompt, *cache).select(1, 2),
                   own = lm->forward(prompt, *same).select(1, 2);
  const std::vector<double> all = log_prob_rows(whole, hidden), left = log_prob_rows(*lm, own);
  double kept = 0;
  for (const std::size_t v : {0, 1, 3, 4}) kept += std::exp(all[v]);
  for (const std::size_t v : {0, 1, 3, 4}) EXPECT_NEAR(left[v], all[v] - std::log(kept), 1e-12) << v;
  for (const std::size_t v : {2, 5, 6}) EXPECT_EQ(left[v], log_zero) << v;
  const Tokens asked{4};
  EXPECT_EQ(log_prob_of_tokens(*lm, own, asked)[0], left[4]) << "the scorer has the sampler's law";
  std::vector<double> quantiles;
  for (int i = 0; i < 200; ++i) quantiles.push_back((i + 0.5) / 200);
  for (const std::int64_t token : draw_tokens(*lm, own, quantiles).tokens)
    EXPECT_TRUE(token == 0 || token == 1 || token == 3 || token == 4) << token;
}

TEST_F(Masked, ItIsAnotherModel) {
  EXPECT_EQ(masked({0, 1, 2, 3, 4, 5, 6})->fingerprint(), whole.fingerprint());
  EXPECT_NE(masked({0, 1, 2, 3, 4, 5})->fingerprint(), whole.fingerprint());
  EXPECT_NE(masked({0, 1, 2, 3, 4, 5})->fingerprint(), masked({0, 1, 2, 3, 4, 6})->fingerprint());
  const Error error = test::error_of([&] { return masked({}); });
  EXPECT_EQ(error.kind(), ErrorKind::data);
  EXPECT_THAT(error.text(), HasSubstr("none of the model's 7 tokens"));
}

TEST_F(Masked, TilesOfTheVocabularyAreTheRow) {
  const auto lm = masked({0, 1, 3, 4});
  const auto cache = lm->make_cache(1);
  const Tokens prompt{1};
  const at::Tensor hidden = lm->forward(prompt, *cache).select(1, 0);
  at::Tensor row = at::empty({1, V}, at::kDouble);
  lm->logits(hidden, 0, V, row);
  for (std::int64_t begin = 0; begin < V; ++begin)
    for (std::int64_t end = begin + 1; end <= V; ++end) {
      at::Tensor tile = at::empty({1, end - begin}, at::kDouble);
      lm->logits(hidden, begin, end, tile);
      EXPECT_TRUE(tile.equal(row.narrow(1, begin, end - begin))) << begin << " " << end;
    }
}

}  // namespace
}  // namespace twistor::model
