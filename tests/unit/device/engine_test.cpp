// SPDX-License-Identifier: Apache-2.0
// Every operation of an engine against the CPU's own kernels.
#include "twistor/device/engine.hpp"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>
#include <vector>

#include "support/engines.hpp"
#include "support/error_of.hpp"
#include "twistor/base/philox.hpp"

namespace twistor::device {
namespace {

constexpr std::int64_t rows = 7, D = 48, N = 96;

std::vector<float> random_numbers(std::int64_t n, std::uint32_t which) {
  Philox random(5, Stream::test, which, 0);
  std::vector<float> out;
  for (std::int64_t i = 0; i < n; ++i) out.push_back(static_cast<float>(random.normal()));
  return out;
}

/// One engine's answers to the same questions.
struct Answers {
  explicit Answers(std::shared_ptr<const Engine> which) : engine(std::move(which)) {}

  [[nodiscard]] at::Tensor matrix(std::int64_t n, std::int64_t d, std::uint32_t which) const {
    return engine->upload(random_numbers(n * d, which)).view({n, d});
  }
  [[nodiscard]] Linear linear(Precision precision = Precision::float32) const {
    Linear out{engine->make_weight(N, D, precision), engine->upload(random_numbers(N, 11))};
    engine->write_rows(out.weight, 0, random_numbers(N * D, 10));
    return out;
  }
  [[nodiscard]] std::vector<float> norm(NormKind kind) const {
    const Norm norm{kind, 1e-5f, engine->upload(random_numbers(D, 12)),
                    kind == NormKind::layer_norm ? engine->upload(random_numbers(D, 13)) : at::Tensor()};
    at::Tensor out = engine->empty({rows, D});
    engine->normalise(norm, matrix(rows, D, 1), out);
    return to_host(out);
  }
  /// Two of the three runs of 16 columns; the first stays.
  [[nodiscard]] std::vector<float> norm_of_runs() const {
    at::Tensor x = matrix(rows, D, 1);
    engine->normalise_runs({NormKind::rms_norm, 1e-5f, engine->upload(random_numbers(16, 14)), {}}, x, 16,
                           48);
    return to_host(x);
  }
  [[nodiscard]] std::vector<float> product(Precision precision, bool accumulate) const {
    at::Tensor y = matrix(rows, N, 2);
    engine->project(matrix(rows, D, 1), linear(precision), y, accumulate);
    return to_host(y);
  }
  [[nodiscard]] std::vector<float> columns() const {
    at::Tensor y = engine->empty({rows, 64}).zero_();
    engine->project_columns(matrix(rows, D, 1), linear(), 32, 64, y);
    return to_host(y);
  }
  [[nodiscard]] std::vector<float> transposed() const {
    Linear w{engine->make_weight(N, D, Precision::float32), {}};
    engine->write_transposed(w.weight, random_numbers(N * D, 10));
    at::Tensor y = engine->empty({rows, N});
    engine->project(matrix(rows, D, 1), w, y);
    return to_host(y);
  }
  [[nodiscard]] std::vector<float> activated(ActivationKind kind, bool is_gated) const {
    at::Tensor x = matrix(rows, N, 3), out = engine->empty({rows, is_gated ? N / 2 : N});
    engine->activate(kind, is_gated, x, out);
    return to_host(out);
  }
  /// Rows that are no whole pieces of 16 bytes.
  [[nodiscard]] std::vector<float> activated_odd(bool is_gated) const {
    at::Tensor x = matrix(rows, 2 * 33, 3), out = engine->empty({rows, is_gated ? 33 : 66});
    engine->activate(ActivationKind::silu, is_gated, x, out);
    return to_host(out);
  }
  [[nodiscard]] std::vector<float> capped() const {
    at::Tensor x = matrix(rows, N, 3);
    engine->soft_cap(x, 64, 0.7f);
    return to_host(x);
  }
  [[nodiscard]] std::vector<float> found(bool accumulate) const {
    const std::vector<float> all = random_numbers(9 * D, 14);
    const Table table = engine->make_table(9, D, false, [&](std::int64_t row, std::span<float> out) {
      std::copy_n(all.begin() + row * D, D, out.begin());
    });
    const std::vector<std::int64_t> index{8, 0, 3, 3, 1, 7, 8};
    at::Tensor out = matrix(rows, D, 1);
    engine->look_up(table, index, out, accumulate);
    return to_host(out);
  }
  [[nodiscard]] std::vector<float> unit_rms() const {
    at::Tensor x = matrix(rows, D, 1);
    x.select(0, 3).zero_();
    return to_host(engine->unit_rms(x));
  }
  [[nodiscard]] std::vector<float> grouped() const {
    const std::vector<std::int64_t> group{2, 0, 2, 2, 1, 0, 2};
    return to_host(engine->sum_by_group(matrix(rows, D, 1), random_numbers(rows, 15), group, 4));
  }
  [[nodiscard]] std::vector<float> read_rows() const {
    const std::vector<std::int64_t> index{95, 0, 17};
    return to_host(engine->read_rows(linear().weight, index));
  }

  std::shared_ptr<const Engine> engine;
};

class Engines : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (test::engine_named(GetParam()) == nullptr) GTEST_SKIP() << "no GPU is asked for";
    own = std::make_unique<Answers>(cpu_engine());
    other = std::make_unique<Answers>(test::engine_named(GetParam()));
  }
  template <class F>
  void expect_near(const F& answer, double tolerance = 1e-5) const {
    const std::vector<float> wanted = answer(*own), got = answer(*other);
    ASSERT_EQ(got.size(), wanted.size());
    for (std::size_t i = 0; i < wanted.size(); ++i)
      ASSERT_NEAR(got[i], wanted[i], tolerance * (1 + std::abs(static_cast<double>(wanted[i])))) << i;
  }
  std::unique_ptr<Answers> own, other;
};

TEST_P(Engines, NormsAgree) {
  for (const NormKind kind : {NormKind::layer_norm, NormKind::rms_norm})
    expect_near([&](const Answers& a) { return a.norm(kind); });
  expect_near([](const Answers& a) { return a.norm_of_runs(); });
}

TEST_P(Engines, ProductsAgree) {
  for (const bool accumulate : {false, true}) {
    expect_near([&](const Answers& a) { return a.product(Precision::float32, accumulate); });
    // Both round the same operands; a difference of the order of a result's own rounding would be 4e-3.
    expect_near([&](const Answers& a) { return a.product(Precision::bfloat16, accumulate); }, 2e-4);
  }
  expect_near([](const Answers& a) { return a.columns(); });
  expect_near([](const Answers& a) { return a.transposed(); });
  expect_near([](const Answers& a) { return a.read_rows(); }, 0);
}

TEST_P(Engines, ActivationsAgree) {
  for (const bool is_gated : {false, true})
    for (const ActivationKind kind : {ActivationKind::gelu_tanh, ActivationKind::gelu_erf,
                                      ActivationKind::silu, ActivationKind::relu, ActivationKind::tanh})
      expect_near([&](const Answers& a) { return a.activated(kind, is_gated); });
  for (const bool is_gated : {false, true})
    expect_near([&](const Answers& a) { return a.activated_odd(is_gated); });
  expect_near([](const Answers& a) { return a.capped(); });
  expect_near([](const Answers& a) {
    at::Tensor x = a.matrix(rows, D, 1);
    a.engine->add(x, a.matrix(rows, D, 2), 0.7f);
    return to_host(x);
  });
}

/// Texts of different lengths, and of one length, where nothing is padded.
TEST_P(Engines, TextsAgree) {
  for (const std::vector<std::int64_t>& begins :
       {std::vector<std::int64_t>{0, 1, 5, 7}, std::vector<std::int64_t>{0, 7}}) {
    expect_near([&](const Answers& a) {
      at::Tensor out = a.engine->empty({rows, D});
      a.engine->begin_texts(begins)->attend({.n_heads = 3}, a.matrix(rows, 3 * D, 4), out);
      return to_host(out);
    });
    // Distances of more than 2 share a row; tables may be one or both.
    const std::vector<std::int64_t> row_of{0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 5, 5, 5};
    for (const int which : {1, 2, 3})
      expect_near([&](const Answers& a) {
        RelativePositions positions;
        positions.row_of = row_of;
        if ((which & 1) != 0) positions.keys = a.matrix(6, D, 6);
        if ((which & 2) != 0) positions.queries = a.matrix(6, D, 7);
        at::Tensor out = a.engine->empty({rows, D});
        a.engine->begin_texts(begins)->attend({.n_heads = 3, .n_terms = 2, .positions = &positions},
                                              a.matrix(rows, 3 * D, 4), out);
        return to_host(out);
      });
    for (const Pooling how : {Pooling::sum, Pooling::first, Pooling::max})
      expect_near([&](const Answers& a) {
        return to_host(a.engine->begin_texts(begins)->pool(how, a.matrix(rows, D, 5)).to(at::kFloat));
      });
  }
}

TEST_P(Engines, TablesAgree) {
  for (const bool accumulate : {false, true})
    expect_near([&](const Answers& a) { return a.found(accumulate); }, 0);
}

TEST_P(Engines, GradientsAgree) {
  expect_near([](const Answers& a) { return a.unit_rms(); });
  expect_near([](const Answers& a) { return a.grouped(); });
  expect_near([](const Answers& a) {
    return to_host(a.engine->product_at_b(a.matrix(rows, D, 1), a.matrix(rows, N, 2)));
  });
  expect_near([](const Answers& a) { return to_host(a.engine->column_sums(a.matrix(rows, D, 1))); });
}

INSTANTIATE_TEST_SUITE_P(Kinds, Engines, test::every_tensor_engine,
                         [](const auto& test) { return std::string(test.param); });

class KvStores : public testing::TestWithParam<const char*> {};

TEST_P(KvStores, CopyReadAndWriteWholeBlocks) {
  const auto engine = test::engine_named(GetParam());
  if (engine == nullptr) GTEST_SKIP() << "no GPU is asked for";
  for (const Precision precision : {Precision::float32, Precision::bfloat16}) {
    const auto store = engine->make_kv_store({3, 2, 8, precision});
    store->grow();
    const std::int64_t first = store->capacity();
    ASSERT_GE(first, 5);
    const auto size = static_cast<std::size_t>(store->block_bytes());
    std::vector<std::byte> bytes(2 * size), back(2 * size);
    for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i * 7 % 61);
    const std::vector<std::int32_t> at{4, 1}, copies{0, 2}, swapped{1, 4};
    store->write(at, bytes);
    store->copy(at, copies);
    store->grow();
    EXPECT_GT(store->capacity(), first);
    store->read(copies, back);
    EXPECT_EQ(back, bytes);
    store->read(swapped, back);
    EXPECT_TRUE(std::equal(back.begin(), back.begin() + static_cast<std::ptrdiff_t>(size),
                           bytes.begin() + static_cast<std::ptrdiff_t>(size)));
  }
}

TEST_P(KvStores, AreMadeWholeForWhatIsExpectedOrGrowUpToIt) {
  const auto engine = test::engine_named(GetParam());
  if (engine == nullptr || !engine->keeps_tensors() || !engine->device().is_cpu())
    GTEST_SKIP() << "it grows by itself, or with the memory of a GPU";
  const KvShape few{3, 2, 8, Precision::float32}, large{16, 8, 64, Precision::float32};
  const auto at_once = engine->make_kv_store(few);
  at_once->expect(5000);  // 29 MiB
  at_once->grow();
  EXPECT_EQ(at_once->capacity(), 5000);
  at_once->grow();  // there were more
  EXPECT_EQ(at_once->capacity(), 6250);

  const auto store = engine->make_kv_store(large);  // blocks of 1 MiB
  store->expect(100);
  for (const std::int64_t capacity : {16, 32, 64, 100, 125}) {
    store->grow();
    EXPECT_EQ(store->capacity(), capacity);
  }
  store->expect(140);
  store->grow();
  EXPECT_EQ(store->capacity(), 140);
}

TEST(CpuKvStore, StartsSmallAndDoublesUpToAMostOfFourMebibytes) {
  const auto store = cpu_engine()->make_kv_store({3, 2, 8, Precision::float32});
  const std::int64_t size = store->block_bytes();
  store->grow();
  EXPECT_LE(store->capacity() * size, std::int64_t{64} << 10);
  for (int i = 0; i < 12; ++i) {
    const std::int64_t before = store->capacity();
    store->grow();
    const std::int64_t slab = (store->capacity() - before) * size;
    EXPECT_LE(slab, std::int64_t{4} << 20);
    EXPECT_GE(slab, std::min(before * size, (std::int64_t{4} << 20) - size)) << "slab " << i + 2;
  }
  // A block larger than the first slab would be alone in it.
  const auto large = cpu_engine()->make_kv_store({16, 8, 64, Precision::float32});
  large->grow();
  EXPECT_EQ(large->capacity(), 1);
}

INSTANTIATE_TEST_SUITE_P(Kinds, KvStores, test::every_engine,
                         [](const auto& test) { return std::string(test.param); });

TEST(MakeEngine, RefusesKernelsThatAreNotThere) {
  const Error error = test::error_of([] { (void)make_engine(Place::emulated, KernelChoice::aten, 0); });
  EXPECT_EQ(error.kind(), ErrorKind::config);
  EXPECT_THAT(error.text(), testing::HasSubstr("run.kernels = auto"));
}

}  // namespace
}  // namespace twistor::device
