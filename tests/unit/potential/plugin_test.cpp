// SPDX-License-Identifier: Apache-2.0
// Potentials from shared objects: what they are given, what comes back, and every way in which one does not
// fit.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <limits>

#include "support/error_of.hpp"
#include "support/temporary_folder.hpp"
#include "twistor/base/error.hpp"
#include "twistor/model/absorbing.hpp"
#include "twistor/potential/registry.hpp"
#include "unit/potential/brute_force.hpp"

namespace twistor::potential {
namespace {

using testing::DoubleEq;
using testing::ElementsAre;
using testing::HasSubstr;
using Texts = std::vector<std::string>;

const ToyTokenizer toy({"?", "a", "bc", "$"});

/// One of those that tests/support/test_plugin.c becomes.
PotentialOptions plugin(const std::string& name, const std::string& options = {}) {
  PotentialOptions out;
  out.potential = "plugin";
  out.plugin = std::string(TWISTOR_BINARY_DIR "/tests/plugins/") + name + ".so";
  out.plugin_options = options;
  return out;
}

TEST(Plugin, ReadsTextsWithTheirSizes) {
  PotentialOptions options = plugin("texts", "kind words");
  options.beta = 0.5;
  options.length = 7;
  const auto scorer = make_text_scorer(options, {.tokenizer = &toy});
  using namespace std::string_literals;
  EXPECT_THAT(scorer->log_phi(Texts{"four", "", "a\0b"s}), ElementsAre(-2, 0, -1.5));
  EXPECT_EQ(scorer->log_phi_bound(), 0);
  EXPECT_EQ(scorer->description(), "plugin: 'kind words' with V = 4 and T = 7");
  EXPECT_TRUE(scorer->log_phi(Texts{}).empty());
}

TEST(Plugin, ReadsTokensUpToTheEnd) {
  const auto lm = model::TabularModel::random(4, 6, 1);
  const auto potential = make_potential(plugin("tokens"), {.lm = &lm, .tokenizer = &toy});
  const Tokens prompt = {1, 2}, s = {1, 2, 3, 0, 0, 1};
  EXPECT_THAT(potential->log_phi({prompt, s, 3}), ElementsAre(DoubleEq(-0.63), DoubleEq(-0.13)));
  EXPECT_THAT(potential->log_phi_of_prefix({prompt, s, 2}),
              ElementsAre(DoubleEq(-0.33), DoubleEq(-0.33), DoubleEq(-0.13)));
  EXPECT_EQ(make_text_scorer(plugin("tokens"), {.tokenizer = &toy}), nullptr) << "texts have no tokens";
}

TEST(Plugin, TokensAfterTheEndDoNotCount) {
  const model::AbsorbingModel lm(std::make_shared<model::TabularModel>(model::TabularModel::random(4, 6, 1)),
                                 3, 1);
  const Tokens prompt = {1}, s = {1, 3, 3, 1, 2, 2};
  // The end token counts among the tokens, and is no part of the text "a" + "a".
  EXPECT_THAT(make_potential(plugin("tokens"), {.lm = &lm, .tokenizer = &toy})->log_phi({prompt, s, 3}),
              ElementsAre(DoubleEq(-0.41), DoubleEq(-0.51)));
  EXPECT_THAT(make_potential(plugin("both"), {.lm = &lm, .tokenizer = &toy})->log_phi({prompt, s, 3}),
              ElementsAre(DoubleEq(-2.41), DoubleEq(-6.51)));
}

TEST(Plugin, ReadsBothAndKeepsToTheScope) {
  const auto lm = model::TabularModel::random(4, 6, 1);
  PotentialOptions options = plugin("both");
  const Tokens prompt = {2}, s = {1, 2, 2, 2};
  EXPECT_THAT(make_potential(options, {.lm = &lm, .tokenizer = &toy})->log_phi({prompt, s, 2}),
              ElementsAre(DoubleEq(-5.32), DoubleEq(-6.42)));
  options.scope = "generation";
  EXPECT_THAT(make_potential(options, {.lm = &lm, .tokenizer = &toy})->log_phi({prompt, s, 2}),
              ElementsAre(DoubleEq(-3.32), DoubleEq(-4.42)));
  EXPECT_THAT(test::error_of([&] { (void)make_potential(options, {.lm = &lm}); }).text(),
              HasSubstr("the model has no tokenizer"));
  options.plugin = plugin("tokens").plugin;
  const Error error = test::error_of([&] { (void)make_potential(options, {.lm = &lm, .tokenizer = &toy}); });
  EXPECT_EQ(error.kind(), ErrorKind::config);
  EXPECT_THAT(error.text(), HasSubstr("target.scope is set, and the plugin reads tokens alone"));
}

TEST(Plugin, WhatItNeedNotSayIsMadeUp) {
  const auto scorer = make_text_scorer(plugin("plain"), {});
  EXPECT_EQ(scorer->log_phi_bound(), std::numeric_limits<double>::infinity());
  EXPECT_EQ(scorer->description(), "plugin: a shared object that does not describe itself");
  EXPECT_EQ(scorer->fingerprint(), "");
}

struct Unfit {
  const char *name, *options, *expected;
};

TEST(Plugin, WhatDoesNotFitIsRefusedWithTheReason) {
  for (const Unfit& unfit :
       {Unfit{"version", "", "it was built for version 77 of twistor/plugin.h (expected 1)"},
        Unfit{"nameless", "", "it does not define the function twistor_plugin"},
        Unfit{"incomplete", "", "its table lacks create, destroy or log_phi"},
        Unfit{"reads_nothing", "", "it reads 0 (expected texts, tokens, or both"},
        Unfit{"missing", "", "it is no shared object that loads here"},
        Unfit{"texts", "refuse", "it makes no potential: there is no word list 'refuse'"},
        Unfit{"texts", "shout", "it makes no potential: AAAA"},
        Unfit{"texts", "keep silent", "it makes no potential: it does not say why"}}) {
    const Error error =
        test::error_of([&] { (void)make_text_scorer(plugin(unfit.name, unfit.options), {}); });
    EXPECT_EQ(error.kind(), ErrorKind::config) << unfit.name;
    EXPECT_THAT(error.text(), HasSubstr(unfit.expected)) << unfit.name;
    EXPECT_THAT(error.text(), HasSubstr(std::string(unfit.name) + ".so"));
  }
  const test::TemporaryFolder folder;
  PotentialOptions text = plugin("texts");
  text.plugin = folder.write("notes.so", "no machine code");
  EXPECT_THAT(test::error_of([&] { (void)make_text_scorer(text, {}); }).text(),
              HasSubstr("it is no shared object that loads here"));
  text.plugin.clear();
  EXPECT_THAT(test::error_of([&] { (void)make_text_scorer(text, {}); }).text(),
              HasSubstr("set target.plugin"));
}

TEST(Plugin, BadValuesAndFailuresNameTheCulprit) {
  const auto fails = [](const char* options) {
    const auto scorer = make_text_scorer(plugin("texts", options), {});
    const Error error = test::error_of([&] { (void)scorer->log_phi(Texts{"one", "two"}); });
    EXPECT_EQ(error.kind(), ErrorKind::data) << options;
    return error.text();
  };
  EXPECT_THAT(fails("fail"), HasSubstr("texts.so: it fails with status 3: the scale is broken"));
  EXPECT_THAT(fails("nan"), HasSubstr("log phi of the text 'one' is nan"));
  EXPECT_THAT(fails("skip"), HasSubstr("log phi of the text 'two' is nan")) << "a value that was not written";
  EXPECT_THAT(fails("too low"), HasSubstr("above the bound -100 that it states"));
}

TEST(Plugin, IdentityIsTheFileItsOptionsAndItsFingerprint) {
  const test::TemporaryFolder folder;
  const auto identity_of = [&](const std::filesystem::path& file, const std::string& options) {
    PotentialOptions of = plugin("texts", options);
    of.plugin = file;
    return identity(*make_potential(of, {.tokenizer = &toy}), of);
  };
  const std::filesystem::path here = plugin("texts").plugin, there = folder.path() / "texts.so";
  std::filesystem::copy_file(here, there);
  EXPECT_EQ(identity_of(here, "x"), identity_of(there, "x")) << "the contents count, not the place";
  EXPECT_NE(identity_of(here, "x"), identity_of(here, "y"));
  const std::filesystem::path other = folder.path() / "other" / "texts.so";
  std::filesystem::create_directory(other.parent_path());
  std::filesystem::copy_file(plugin("plain").plugin, other);
  EXPECT_NE(identity_of(here, "x"), identity_of(other, "x"));
  // The same description and digest of options, but for what the object says of a file.
  const auto scorer = make_text_scorer(plugin("texts", "file a"), {});
  EXPECT_EQ(scorer->fingerprint().size(), 64U);
}

}  // namespace
}  // namespace twistor::potential
