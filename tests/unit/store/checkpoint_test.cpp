// SPDX-License-Identifier: Apache-2.0
// Checkpoints, exact samples and results: round trips, refusals, fingerprints.
#include "twistor/store/checkpoint.hpp"

#include <gmock/gmock.h>

#include "files.hpp"
#include "twistor/base/digest.hpp"
#include "twistor/store/exact_samples.hpp"
#include "twistor/store/results.hpp"

namespace twistor::store {
namespace {

using testing::checkpoint_at;
using testing::error_of;
using ::testing::HasSubstr;
using testing::TemporaryFolder;

TEST(Digest, KnownAnswers) {
  EXPECT_EQ(sha256_hex(std::string_view("abc")),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(sha256_hex(std::string_view("")),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  Sha256 hash;
  hash.add("a");
  hash.add("bc");
  EXPECT_EQ(hash.finish_hex(), sha256_hex(std::string_view("abc")));
  EXPECT_EQ(hash.finish_hex(), sha256_hex(std::string_view("")));  // starts anew
}

TEST(Checkpoint, RoundTrips) {
  const TemporaryFolder folder;
  const Checkpoint written = checkpoint_at(17);
  write_checkpoint(folder / "c.h5", written);
  EXPECT_EQ(load_checkpoint(folder / "c.h5"), written);
}

TEST(Checkpoint, RoundTripsWithoutMoments) {
  const TemporaryFolder folder;
  Checkpoint written = checkpoint_at(0);
  written.adam_m.clear();
  written.adam_v.clear();
  write_checkpoint(folder / "c.h5", written);
  EXPECT_EQ(load_checkpoint(folder / "c.h5"), written);
}

TEST(Checkpoint, RefusesMomentsOfOtherParameters) {
  const TemporaryFolder folder;
  Checkpoint c = checkpoint_at(1);
  c.adam_v.erase("head.0.weight");
  write_checkpoint(folder / "c.h5", c);
  EXPECT_THAT(error_of([&] { (void)load_checkpoint(folder / "c.h5"); }).what(),
              HasSubstr("adam_v and parameters differ"));
}

TEST(Checkpoint, RefusesARoundThatIsNotWhole) {
  const TemporaryFolder folder;
  Checkpoint c = checkpoint_at(1);
  c.round_log_phi.pop_back();
  write_checkpoint(folder / "c.h5", c);
  EXPECT_THAT(error_of([&] { (void)load_checkpoint(folder / "c.h5"); }).what(),
              HasSubstr("round_tokens, round_log_w and round_log_phi have 4, 2 and 1 values"));
}

TEST(Checkpoint, FingerprintDependsOnNamesShapesAndBits) {
  const std::string base = parameters_sha256(checkpoint_at(3));
  EXPECT_EQ(base.size(), 64u);
  Checkpoint same = checkpoint_at(3);
  same.update = 4;
  same.adam_m.clear();
  EXPECT_EQ(parameters_sha256(same), base);
  Checkpoint bit = checkpoint_at(3), shape = checkpoint_at(3), name = checkpoint_at(3);
  bit.parameters["head.0.weight"].values[0] = std::nextafter(bit.parameters["head.0.weight"].values[0], 1e9F);
  shape.parameters["head.0.weight"].shape = {3, 2};
  auto node = name.parameters.extract("head.1.weight");
  node.key() = "head.2.weight";
  name.parameters.insert(std::move(node));
  for (const Checkpoint* other : {&bit, &shape, &name}) EXPECT_NE(parameters_sha256(*other), base);
}

TEST(Checkpoint, OfAnOlderVersionLacksPromptAndObjective) {
  const TemporaryFolder folder;
  const Checkpoint written = checkpoint_at(5);
  write_checkpoint(folder / "c.h5", written);
  Archive archive = read_archive(folder / "c.h5", "checkpoint");
  ASSERT_EQ(archive.datasets.erase("prompt") + archive.attributes.erase("objective") +
                archive.attributes.erase("link"),
            3u);
  Checkpoint expected = written;
  expected.prompt.clear();
  expected.objective = "ctl";
  expected.link = "identity";
  EXPECT_EQ(checkpoint_from(std::move(archive)), expected);
}

ExactSamples sample_set() {
  ExactSamples s;
  s.prompt = {1, 2, 3};
  s.length = 2;
  s.tokens = {{3, 2}, {4, 5, 6, 7, 8, 9}};
  s.log_p0 = {-1.25, -2.5, -0.1};
  s.log_phi = {0, -3, -std::numeric_limits<double>::infinity()};
  s.log_z = -6.9;
  s.how = "rejection";
  s.n_draws = 12345;
  s.model_fingerprint = "aa";
  s.potential = "contains: fox";
  return s;
}

TEST(ExactSamples, RoundTrips) {
  const TemporaryFolder folder;
  ExactSamples written = sample_set();
  for (const bool conditional : {false, true}) {
    if (conditional) written.observations = {{3, 1}, {7, 7, 7}};
    write_exact_samples(folder / "e.h5", written);
    const ExactSamples read = load_exact_samples(folder / "e.h5");
    EXPECT_EQ(read.n(), 3);
    EXPECT_EQ(read.has_observations(), conditional);
    EXPECT_EQ(read.prompt, written.prompt);
    EXPECT_EQ(read.length, written.length);
    EXPECT_EQ(read.tokens, written.tokens);
    EXPECT_EQ(read.log_p0, written.log_p0);
    EXPECT_EQ(read.log_phi, written.log_phi);
    EXPECT_EQ(read.observations, written.observations);
    EXPECT_EQ(read.log_z, written.log_z);
    EXPECT_EQ(read.how, written.how);
    EXPECT_EQ(read.n_draws, written.n_draws);
    EXPECT_EQ(read.model_fingerprint, written.model_fingerprint);
    EXPECT_EQ(read.potential, written.potential);
  }
}

TEST(ExactSamples, KnowsThatLogZIsUnknownAndThatASetMayBeEmpty) {
  const TemporaryFolder folder;
  ExactSamples empty;
  empty.length = 4;
  empty.tokens = {{0, 4}, {}};
  write_exact_samples(folder / "e.h5", empty);
  const ExactSamples read = load_exact_samples(folder / "e.h5");
  EXPECT_FALSE(read.is_log_z_known());
  EXPECT_EQ(read.n(), 0);
}

TEST(ExactSamples, RefusesSizesThatDisagree) {
  const TemporaryFolder folder;
  const auto error_for = [&](auto change) {
    ExactSamples s = sample_set();
    change(s);
    return std::string(error_of([&] { write_exact_samples(folder / "e.h5", s); }).what());
  };
  EXPECT_THAT(error_for([](auto& s) { s.length = 3; }),
              HasSubstr("expected tokens of shape (3, 3), got (3, 2)"));
  EXPECT_THAT(error_for([](auto& s) { s.length = 0; }), HasSubstr("length T of at least 1"));
  EXPECT_THAT(error_for([](auto& s) { s.log_p0.pop_back(); }),
              HasSubstr("expected 3 values of log_p0, got 2"));
  EXPECT_THAT(error_for([](auto& s) { s.log_phi[1] = std::nan(""); }), HasSubstr("a log_phi is NaN"));
  EXPECT_THAT(error_for([](auto& s) { s.tokens.values[2] = -1; }), HasSubstr("a token id is negative"));
  EXPECT_THAT(error_for([](auto& s) { s.observations = {{2, 1}, {7, 7}}; }), HasSubstr("(3, c), got (2, 1)"));
}

TEST(Results, RoundTrips) {
  const TemporaryFolder folder;
  Results written;
  written.config_text = "run.seed = 1\n";
  written.arrays["before/log_z"] = Array<double>::flat({-6.5, -7.25});
  written.arrays["before/tokens"] = Array<std::int64_t>{{1, 2}, {3, 4}};
  written.numbers = {{"log_z", -6.9}};
  written.counters = {{"resamplings", 12}};
  write_results(folder / "r.h5", written);
  EXPECT_EQ(load_results(folder / "r.h5"), written);
  EXPECT_THAT(error_of([&] { (void)load_checkpoint(folder / "r.h5"); }).what(),
              HasSubstr("got kind 'results'"));
}

}  // namespace
}  // namespace twistor::store
