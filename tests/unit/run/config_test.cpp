// SPDX-License-Identifier: Apache-2.0
// Configurations: what is read, what is refused and in which words, and that nothing is lost on the way to
// text and back.
#include "twistor/run/config.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <sstream>

#include "support/error_of.hpp"
#include "twistor/base/error.hpp"
#include "twistor/base/philox.hpp"

namespace twistor::run {
namespace {

using test::error_of;
using testing::ElementsAre;
using testing::HasSubstr;
namespace fs = std::filesystem;

const fs::path source_dir = TWISTOR_SOURCE_DIR;
const std::string minimal = "model.path = m\nprompt.ids = 1\n";

TEST(Config, DefaultsStandWhereNothingIsSaid) {
  Config expected;
  expected.model.path = "m";
  expected.prompt.ids = {1};
  EXPECT_EQ(parse_config(minimal), expected);
}

TEST(Config, ReadsSectionsAndDottedKeysAlike) {
  const Config config = parse_config(
      "\xEF\xBB\xBF# a comment\r\n"
      "; another\n"
      "model.path = m\n"
      "[smc]   # the sampler\n"
      "  particles=7\r\n"
      "ess_threshold = 0.25 # of K\n"
      "prompt.text = Say \"hi\"#1 now  # a comment\n"
      "[ target ]\n"
      "ids = 3,4 5\t6 ,7\n"
      "words = bad, x=y# z\n"
      "log_floor = -2.5e1\n"
      "[run]\n"
      "progress = false\n"
      "seed = 18446744073709551615");
  EXPECT_EQ(config.smc.sweep.particles, 7);
  EXPECT_EQ(config.smc.sweep.ess_threshold, 0.25);
  EXPECT_EQ(config.prompt.text, "Say \"hi\"#1 now");
  EXPECT_THAT(config.target.ids, ElementsAre(3, 4, 5, 6, 7));
  EXPECT_EQ(config.target.words, "bad, x=y# z");
  EXPECT_EQ(config.target.log_floor, -25);
  EXPECT_FALSE(config.run.progress);
  EXPECT_EQ(config.run.seed, 18446744073709551615u);
}

TEST(Config, ReadsRangesInLists) {
  const Config config = parse_config(minimal + "sweep.seeds = 3, 5..8 1\nsweep.particles = 2..2\n");
  EXPECT_THAT(config.sweep.seeds, ElementsAre(3, 5, 6, 7, 8, 1));
  EXPECT_THAT(config.sweep.particles, ElementsAre(2));
  EXPECT_THAT(to_text(config), HasSubstr("seeds = 3, 5, 6, 7, 8, 1\n"));
}

TEST(Config, ReadsQuotedTexts) {
  const Config config = parse_config(R"(model.path = "a # b"  # a comment)"
                                     "\n"
                                     R"(prompt.text = " \"x\"\\\n\t\r\x00\xfF ")");
  EXPECT_EQ(config.model.path, "a # b");
  EXPECT_EQ(config.prompt.text, std::string(" \"x\"\\\n\t\r\0\xff ", 11));
}

TEST(Config, OverridesGoBeforeTheFileAndAreTakenAsTheyStand) {
  const config::Override overrides[] = {
      {"smc.particles", "5"}, {"prompt.ids", ""}, {"prompt.text", " \"a\" # b"}};
  const Config config = parse_config(minimal + "smc.particles = 3\n", "f", overrides);
  EXPECT_EQ(config.smc.sweep.particles, 5);
  EXPECT_EQ(config.prompt.text, " \"a\" # b");
}

struct BadText {
  std::string text;
  std::string problem;
  std::string hint;
};

TEST(Config, RefusesBadTextsNamingLineKeyAndWhatIsAllowed) {
  const BadText table[] = {
      {"smc.particels = 3", "line 1: unknown key 'smc.particels'", "did you mean smc.particles?"},
      {"train.particles = 3", "unknown key 'train.particles'", "did you mean smc.particles?"},
      {"\nparticles = 3", "line 2: unknown key 'particles'", "did you mean smc.particles?"},
      {"completely.different = 3", "unknown key 'completely.different'", "reference.cfg"},
      {std::string(100000, 'x') + " = 3", "unknown key", "reference.cfg"},
      {"[smc]\n[smk]\n", "line 2: unknown section [smk]", "sections: model, prompt"},
      {"[smc\n", "expected ']'", ""},
      {"[smc] x = 3", "expected nothing after [section], got 'x = 3'", ""},
      {"[smc]\nparticles 3", "line 2: expected 'key = value', got 'particles 3'", ""},
      {"= 3", "unknown key ''", ""},
      {"smc.particles = 0", "smc.particles: expected an integer, at least 1 and at most 2147483646, got 0",
       ""},
      {"smc.particles = 2147483649", "got 2147483649", ""},
      {"smc.particles = 99999999999999999999", "got '99999999999999999999'", ""},
      {"smc.particles = 1.5", "smc.particles: expected an integer, at least 1", ""},
      {"smc.particles = 12 13", "got '12 13'", ""},
      {"smc.particles =", "got ''", ""},
      {"smc.particles = many # really", "got 'many'", ""},
      {"target.length = 0", "target.length: expected an integer, at least 1", ""},
      {"target.beta = -1", "target.beta: expected a finite number, above 0, got -1", ""},
      {"target.beta = nan", "got 'nan'", ""},
      {"target.beta = inf", "got inf", ""},
      {"target.beta = 1e999", "got '1e999'", ""},
      {"target.log_floor = 0.5", "expected a number, at most 0 (-inf is allowed), got 0.5", ""},
      {"smc.ess_threshold = 0", "expected a number, above 0 and at most 1, got 0", ""},
      {"smc.ess_threshold = 1.0000001", "got 1.0000001", ""},
      {"smc.resampling = Stratified",
       "expected one of: multinomial, stratified, systematic, residual, got 'Stratified'", ""},
      {"train.objective = magic", "train.objective: expected one of: ctl, ", ""},
      {"train.learning_rate = 0", "expected a finite number, above 0, got 0", ""},
      {"run.progress = yes", "run.progress: expected true or false, got 'yes'", ""},
      {"run.seed = -1", "run.seed: expected an integer, at least 0 and below 2^64, got '-1'", ""},
      {"prompt.ids = 1,,2", "prompt.ids: expected token ids, separated by commas or blanks, got '' in it",
       ""},
      {"prompt.ids = 1,", "got a comma at its end", ""},
      {"prompt.ids = 1 -2", "got '-2' in it", ""},
      {"prompt.ids = 4..2", "got '4..2' in it", ""},
      {"prompt.ids = 1..", "got '1..' in it", ""},
      {"prompt.ids = 0..1000000", "got '0..1000000' in it", ""},
      {"sweep.particles = 4 0",
       "sweep.particles: expected integers, at least 1 and at most 2147483646, separated by commas or "
       "blanks; 1..4 "
       "stands for 1 2 3 4, got 0 in it",
       ""},
      {"prompt.text = \"a", "prompt.text: expected a text, got a quoted text without its closing quote", ""},
      {"prompt.text = \"a\" b", "got something after the closing quote", ""},
      {R"(prompt.text = "\q")", "got an escape other than", ""},
      {R"(prompt.text = "\x4")", "got an escape other than", ""},
      {R"(prompt.text = "\)", "got an escape other than", ""},
      {"[smc]\nparticles = 3\n\nparticles = 4\n",
       "line 4: smc.particles is set a second time; line 2 sets it already", ""},
      {"smc.particles = 3\n[smc]\nparticles = 3\n", "line 3: smc.particles is set a second time", ""},
  };
  for (const BadText& bad : table) {
    SCOPED_TRACE(bad.text.substr(0, 80));
    const Error error = error_of([&] { (void)parse_config(bad.text, "some.cfg"); });
    EXPECT_EQ(error.kind(), ErrorKind::config);
    EXPECT_THAT(error.what(), HasSubstr("reading some.cfg, line "));
    EXPECT_THAT(error.what(), HasSubstr(bad.problem));
    EXPECT_THAT(error.hint(), HasSubstr(bad.hint));
  }
}

TEST(Config, RefusesWhatDoesNotGoTogether) {
  const BadText table[] = {
      {"prompt.ids = 1", "model.path is missing", "models/tiny"},
      {"model.path = m",
       "expected exactly one of prompt.text, prompt.ids, prompt.messages and prompt.file, got none", ""},
      {minimal + "prompt.text = a",
       "expected exactly one of prompt.text, prompt.ids, prompt.messages and prompt.file, got prompt.text "
       "and prompt.ids",
       ""},
      {minimal + "prompt.messages = [1]",
       "expected exactly one of prompt.text, prompt.ids, prompt.messages and prompt.file, got prompt.ids and "
       "prompt.messages",
       ""},
      {minimal + "prompt.template_arguments = {}",
       "prompt.template_arguments is set, which only messages read", ""},
      {minimal + "run.output =", "run.output is empty", ""},
      {minimal + "target.text = a\ntarget.ids = 1", "target.text and target.ids are both given", ""},
      {minimal + "target.potential = continuation\ntarget.stop_at_eos = true",
       "the potential continuation asks what follows s, and nothing follows a text that has ended",
       "target.stop_at_eos = false"},
      {minimal + "target.potential = contains",
       "target.potential = contains needs target.words or target.ids", ""},
      {minimal + "target.potential = tokens", "target.potential = tokens needs target.table", ""},
  };
  for (const BadText& bad : table) {
    SCOPED_TRACE(bad.text);
    const Error error = error_of([&] { (void)parse_config(bad.text, "some.cfg"); });
    EXPECT_EQ(error.kind(), ErrorKind::config);
    EXPECT_THAT(error.what(), HasSubstr("checking some.cfg: " + bad.problem));
    EXPECT_THAT(error.hint(), HasSubstr(bad.hint));
  }
}

TEST(Config, FactorsAreCheckedUnderTheirNames) {
  const Error error = error_of([] {
    (void)parse_config(
        minimal +
            "target.potential = product\ntarget.stop_at_eos = true\nfactor.a.potential = continuation\n",
        "some.cfg");
  });
  EXPECT_EQ(error.kind(), ErrorKind::config);
  EXPECT_THAT(error.what(),
              HasSubstr("checking some.cfg, [factor.a]: the potential continuation asks what follows s"));
}

TEST(Config, PoliciesHaveSectionsWithNamesOfTheirOwn) {
  const config::Override overrides[] = {{"policy.c.path", "x"}};
  const Config config = parse_config(
      minimal + "[policy]\ntop_k = 3\n[policy.a]\nadapter = y\ntemperature = 0.7\n policy.b-2.top_p = 0.5\n",
      "f", overrides);
  ASSERT_EQ(config.policies.size(), 4u);
  EXPECT_EQ(config.policies.at("policy").truncation.top_k, 3);
  EXPECT_FALSE(config.policies.at("policy").is_given());
  EXPECT_EQ(config.policies.at("policy.a").adapter, "y");
  EXPECT_EQ(config.policies.at("policy.a").truncation.temperature, 0.7);
  EXPECT_EQ(config.policies.at("policy.b-2").truncation.top_p, 0.5);
  EXPECT_EQ(config.policies.at("policy.c").path, "x");
  EXPECT_EQ(parse_config(to_text(config)), config);
  EXPECT_FALSE(config == parse_config(minimal));

  const auto message = [](const std::string& more) {
    return error_of([&] { (void)parse_config(minimal + more); }).text();
  };
  EXPECT_THAT(message("[policy.a b]\npath = x"), HasSubstr("unknown section [policy.a b]"));
  EXPECT_THAT(message("[policy.a.b]\npath = x"), HasSubstr("unknown section [policy.a.b]"));
  EXPECT_THAT(message("[policy.a]\npat = x"), HasSubstr("unknown key 'policy.a.pat'"));
  EXPECT_THAT(message("[policy.a]\ntemperature = 0"), HasSubstr("policy.a.temperature: expected"));
  EXPECT_THAT(message("smc.proposal = policy"), HasSubstr("no policy is given"));
  EXPECT_THAT(message("smc.proposal = policy\npolicy.path = x\nsmc.trigger = ess"),
              HasSubstr("smc.trigger is ess"));
}

TEST(Config, JointDrawsAndAKnownLogZAreChecked) {
  const auto parse = [](const std::string& more) {
    return parse_config("model.path = m\nprompt.ids = 1\n" + more);
  };
  EXPECT_EQ(parse("").evaluate.given_log_z(), std::nullopt);
  EXPECT_EQ(parse("evaluate.log_z = -3.25e1\n").evaluate.given_log_z(), -32.5);
  for (const char* bad : {"much", "-inf", "nan", "1,5", "1 2"})
    EXPECT_THROW((void)parse(std::string("evaluate.log_z = ") + bad + "\n"), Error) << bad;
  EXPECT_NO_THROW((void)parse("exact.source = joint\n"));
  EXPECT_NO_THROW((void)parse("target.beta = 4\n"));
  EXPECT_THROW((void)parse("exact.source = joint\ntarget.beta = 4\n"), Error);
}

TEST(Config, RefusesBadOverrides) {
  const auto message = [](std::vector<config::Override> overrides) {
    return error_of([&] { (void)parse_config(minimal, "f", overrides); }).text();
  };
  EXPECT_THAT(message({{"smc.particle", "3"}}),
              HasSubstr("reading the command line: unknown key 'smc.particle'"));
  EXPECT_THAT(message({{"smc.particle", "3"}}), HasSubstr("did you mean smc.particles?"));
  EXPECT_THAT(message({{"smc.particles", "x"}}), HasSubstr("got 'x'"));
  EXPECT_THAT(message({{"smc.particles", "x"}, {"smc.particles", "3"}}), HasSubstr("got 'x'"));
}

TEST(Config, RefusesFilesThatCannotBeRead) {
  const Error missing = error_of([] { (void)load_config("/nowhere/x.cfg"); });
  EXPECT_EQ(missing.kind(), ErrorKind::no_input);
  EXPECT_THAT(missing.what(), HasSubstr("/nowhere/x.cfg"));
  EXPECT_EQ(error_of([] { (void)load_config("/tmp"); }).kind(), ErrorKind::no_input);
}

// A value that the field may hold, made from random numbers; texts use every byte.
void randomize(const config::Field& field, Philox& random) {
  const auto text = [&] {
    std::string out;
    for (std::uint64_t n = 1 + random.below(12); n > 0; --n) out += static_cast<char>(random.below(256));
    return out;
  };
  const config::Range& range = field.about.range;
  const std::vector<std::string_view> choices = config::choices(field);
  const auto number = [&] {
    const double low = std::max(range.low, -1e15);
    return low + random.uniform() * (std::min(range.high, 1e15) - low);
  };
  std::visit(
      [&]<class T>(const T& value) {
        if constexpr (std::is_same_v<T, config::Choice>) value.set(choices[random.below(choices.size())]);
        if constexpr (std::is_same_v<T, bool*>) *value = random.below(2) == 1;
        if constexpr (std::is_same_v<T, std::int64_t*>)
          *value = static_cast<std::int64_t>(std::ceil(number()));
        if constexpr (std::is_same_v<T, std::uint64_t*>) *value = random.next_u64();
        if constexpr (std::is_same_v<T, double*>) *value = number();
        if constexpr (std::is_same_v<T, std::string*>)
          *value = choices.empty() ? text() : std::string(choices[random.below(choices.size())]);
        if constexpr (std::is_same_v<T, std::vector<std::int64_t>*>)
          *value = {static_cast<std::int64_t>(random.below(3)) + (range.high > range.low ? 1 : 0), 7};
      },
      field.value);
}

TEST(Config, TextRoundTripIsExact) {
  for (std::uint64_t id = 0; id < 500; ++id) {
    Philox random(1, Stream::test, 0, id);
    Config config;
    if (random.below(2) == 1) config.policies["policy.B-1"];
    for (const config::Field& field : fields_of(config)) randomize(field, random);
    if (config.smc.draws_from_policy()) config.smc.sweep.trigger = smc::Trigger::never;
    const std::uint64_t given = random.below(4);
    if (given != 0) config.prompt.text.clear();
    if (given != 1) config.prompt.ids.clear();
    if (given != 2) config.prompt.messages.clear();
    if (given != 3) config.prompt.file.clear();
    if (given < 2) config.prompt.template_arguments.clear();  // texts and ids have no template
    (random.below(2) == 1 ? config.target.ids.clear() : config.target.text.clear());
    if (config.target.potential == "continuation" || config.target.potential == "product")
      config.target.stop_at_eos = false;  // also of factors, which continue texts unless told otherwise
    if (config.target.potential == "product") config.target.factors["factor.a"].weight = random.uniform();
    if (config.target.potential == "contains" && config.target.words.empty()) config.target.words = "w";
    (random.below(2) == 1 ? config.evaluate.checkpoint : config.evaluate.checkpoints).clear();
    config.evaluate.log_z = random.below(2) == 1 ? "-6.5e-1" : "";
    if (config.exact.source == exact::Way::joint) config.target.beta = 1;
    if (config.twist.body != twist::Body::lora) config.twist.adapter.clear();
    if (config.twist.form == "ratio" || config.twist.is_computed()) config.twist.residual = false;
    if (config.twist.has_automaton()) {  // from the tokens alone
      config.twist.body = twist::Body::base;
      config.twist.condition = model::Condition::none;
      config.twist.adapter.clear();
    }
    if (config.run.device == device::Place::cpu && config.run.collectives == comm::Transport::nccl)
      config.run.collectives = comm::Transport::mpi;
    if (random.below(4) == 0) config.target.log_floor = -std::numeric_limits<double>::infinity();
    const std::string text = to_text(config);
    ASSERT_EQ(parse_config(text), config) << text;
    EXPECT_EQ(to_text(parse_config(text)), text);
  }
}

TEST(Config, JsonHoldsEveryKeyAndTheSameDoubles) {
  Config config = parse_config(minimal + "train.learning_rate = 0.1\n");
  config.prompt.text = "\xff";
  const nlohmann::json json = nlohmann::json::parse(to_json(config));
  std::size_t n_keys = 0;
  for (const auto& section : json) n_keys += section.size();
  EXPECT_EQ(n_keys, fields_of(config).size());
  EXPECT_EQ(json["train"]["learning_rate"].get<double>(), 0.1);
  EXPECT_EQ(json["target"]["log_floor"], "-inf");
  EXPECT_EQ(json["prompt"]["ids"], nlohmann::json({1}));
  EXPECT_EQ(json["prompt"]["text"], "\xEF\xBF\xBD");
}

TEST(ReferenceConfig, AgreesWithTheStructsInKeysAndDefaults) {
  Config config = load_config(source_dir / "configs/reference.cfg");
  config.model.path.clear();  // these two have no default
  config.prompt.text.clear();
  EXPECT_EQ(config, Config{});

  // Every key once, in the order of the table, each section's or group's with a comment above.
  std::ifstream stream(source_dir / "configs/reference.cfg");
  std::vector<std::string> keys;
  std::string section;
  for (std::string line; std::getline(stream, line);) {
    if (line.starts_with('[')) section = line.substr(1, line.find(']') - 1);
    if (line.empty() || line.starts_with('#') || line.starts_with('[')) continue;
    keys.push_back(section + "." + line.substr(0, line.find(" =")));
  }
  std::vector<std::string> expected;
  for (const config::Field& field : fields_of(config)) expected.emplace_back(field.key);
  EXPECT_EQ(keys, expected);
}

TEST(ShippedConfigs, AllParse) {
  int n_files = 0;
  for (const auto& entry : fs::recursive_directory_iterator(source_dir / "configs")) {
    if (entry.path().extension() != ".cfg") continue;
    SCOPED_TRACE(entry.path());
    EXPECT_NO_THROW((void)load_config(entry.path()));
    ++n_files;
  }
  EXPECT_GE(n_files, 15);
}

}  // namespace
}  // namespace twistor::run
