// SPDX-License-Identifier: Apache-2.0
// What `twistor info` says of the files that a run leaves.
#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>

#include "twistor/base/error.hpp"
#include "twistor/report/describe.hpp"
#include "twistor/store/checkpoint.hpp"
#include "twistor/store/exact_samples.hpp"
#include "twistor/store/results.hpp"

namespace twistor::report {
namespace {

using testing::HasSubstr;
namespace fs = std::filesystem;

class Info : public testing::Test {
 protected:
  Info() { fs::create_directories(folder_); }
  ~Info() override { fs::remove_all(folder_); }
  [[nodiscard]] fs::path file(const std::string& name) const { return folder_ / name; }

  static ErrorKind kind_of_failure(const fs::path& path) {
    try {
      (void)describe(path);
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), HasSubstr(path.string()));
      return error.kind();
    }
    return ErrorKind::internal;
  }

 private:
  fs::path folder_ =
      fs::path(testing::TempDir()) /
      ("twistor_info_" + std::string(testing::UnitTest::GetInstance()->current_test_info()->name()));
};

store::Checkpoint some_checkpoint() {
  store::Checkpoint checkpoint;
  checkpoint.config_text = "[smc]\nparticles = 3\n";
  checkpoint.model_fingerprint = "abc";
  checkpoint.twist_form = "linear";
  checkpoint.update = 17;
  checkpoint.seed = 5;
  checkpoint.parameters["weight"] = {{2, 3}, {1, 2, 3, 4, 5, 6}};
  checkpoint.adam_m = checkpoint.adam_v = checkpoint.parameters;
  checkpoint.objective = "ctl";
  checkpoint.numbers["before.seconds"] = 42;
  return checkpoint;
}

// Bounds that meet say how sure they are, and the number is the run's own: that of rejection here, which is
// not the middle of the bounds.
TEST_F(Info, TheVerdictHasTheLogZOfTheTable) {
  const auto verdict = [this](const std::string& estimate) {
    std::ofstream(file("summary.json"))
        << R"({"updates": 5, "log_z": {)" << estimate
        << R"("smc_lower": {"mean": 3.56, "se": 0.14}, "smc_upper": {"mean": 3.49, "se": 0.38}}})";
    return describe(file("summary.json"));
  };
  EXPECT_THAT(verdict(R"("estimate": {"value": 3.6, "se": 0.2}, )"),
              HasSubstr("verdict: log Z is 3.6000 ± 0.2000: the bounds 3.5600 and 3.4900 meet"));
  EXPECT_THAT(verdict(R"("estimate": {"value": 3.6, "se": 0}, )"), HasSubstr("verdict: log Z is 3.6000: "));
  EXPECT_THAT(verdict(""), HasSubstr("verdict: log Z is 3.5250: ")) << "of a file without it, their middle";
}

TEST_F(Info, OfACheckpointHasTheDigestOfItsParameters) {
  store::Checkpoint checkpoint = some_checkpoint();
  store::write_checkpoint(file("a.h5"), checkpoint);
  const std::string text = describe(file("a.h5"));
  EXPECT_THAT(text, HasSubstr("checkpoint written by twistor"));
  EXPECT_THAT(text, HasSubstr("a twist after 17 updates"));
  EXPECT_THAT(text, HasSubstr("\ntwist: linear, 6 parameters in 1 arrays\n"));
  EXPECT_THAT(text, HasSubstr("\nparameters sha256: " + store::parameters_sha256(checkpoint) + "\n"));
  EXPECT_THAT(text, HasSubstr("  before.seconds = 42\n"));
  EXPECT_THAT(text, HasSubstr("\nobjective: ctl\n"));
  EXPECT_THAT(text, HasSubstr("configuration:\n  [smc]\n  particles = 3\n"));

  checkpoint.parameters["weight"].values[0] = 1.0000001f;  // one bit elsewhere is another twist
  store::write_checkpoint(file("b.h5"), checkpoint);
  const auto digest = [](const std::string& whole) {
    return whole.substr(whole.find("parameters sha256"), 83);
  };
  EXPECT_NE(digest(describe(file("b.h5"))), digest(text));
}

TEST_F(Info, OfExactSamples) {
  store::ExactSamples samples;
  samples.prompt = {7, 8};
  samples.length = 3;
  samples.tokens = {{2, 3}, {1, 2, 3, 4, 5, 6}};
  samples.log_p0 = {-1, -2};
  samples.log_phi = {0, 0};
  samples.log_z = -6.25;
  samples.how = "enumeration";
  samples.n_draws = 0;
  samples.model_fingerprint = "abc";
  samples.potential = "contains a word";
  store::write_exact_samples(file("exact.h5"), samples);
  const std::string text = describe(file("exact.h5"));
  EXPECT_THAT(text, HasSubstr("2 exact samples of a target, 3 tokens each, after a prompt of 2 tokens"));
  EXPECT_THAT(text, HasSubstr("exact log Z: -6.25\n"));
  EXPECT_THAT(text, HasSubstr("potential: contains a word\n"));
}

TEST_F(Info, OfResults) {
  store::Results results;
  results.config_text = "[smc]\n";
  results.arrays["before/log_z"] = Array<double>::flat({1, 2, 3});
  results.numbers["kl"] = 0.1;
  results.counters["resamplings"] = 12;
  store::write_results(file("results.h5"), results);
  const std::string text = describe(file("results.h5"));
  EXPECT_THAT(text, HasSubstr("  kl = 0.1\n"));
  EXPECT_THAT(text, HasSubstr("counters:\n  resamplings = 12\n"));
  EXPECT_THAT(text, HasSubstr("  before/log_z: (3)\n"));
}

TEST_F(Info, RefusesWhatIsMissingDamagedOrForeign) {
  EXPECT_EQ(kind_of_failure(file("missing")), ErrorKind::no_input);
  std::ofstream(file("text")) << "hello";
  EXPECT_EQ(kind_of_failure(file("text")), ErrorKind::data);

  store::write_checkpoint(file("a.h5"), some_checkpoint());
  fs::resize_file(file("a.h5"), fs::file_size(file("a.h5")) - 1);
  EXPECT_EQ(kind_of_failure(file("a.h5")), ErrorKind::data);
}

}  // namespace
}  // namespace twistor::report
