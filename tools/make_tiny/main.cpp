// SPDX-License-Identifier: Apache-2.0
// make_tiny: makes the small language model that ships with the project, and measures it.
#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <boost/program_options.hpp>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <numeric>

#include "make_tiny/files.hpp"
#include "make_tiny/learn.hpp"
#include "make_tiny/target.hpp"
#include "twistor/base/error.hpp"

namespace {

namespace po = boost::program_options;
using namespace twistor;
using namespace twistor::tiny;

constexpr const char* usage =
    "make_tiny corpus --stories N       print N stories\n"
    "make_tiny train --out DIR          train the model and write its files\n"
    "make_tiny evaluate DIR             held-out perplexity of model, n-grams and grammar\n"
    "make_tiny target DIR --prompt TEXT --contains TEXT --length T\n"
    "                                   exact log Z of an event among the next T tokens\n"
    "Options:\n";

po::options_description options() {
  po::options_description all;
  all.add_options()("help", "this text")("command", po::value<std::string>()->default_value(""), "see above")(
      "model", po::value<std::string>()->default_value(TINY_MODEL_DIR), "the model's folder (DIR)")(
      "grammar", po::value<std::string>()->default_value(TINY_GRAMMAR), "the grammar file")(
      "seed", po::value<std::uint64_t>()->default_value(1), "of the stories and of the initial weights")(
      "stories", po::value<std::int64_t>(), "how many stories to print, or to hold out (4000)")(
      "out", po::value<std::string>()->default_value(""), "folder to write")(
      "steps", po::value<std::int64_t>()->default_value(TrainOptions{}.n_steps), "training steps of 64 rows")(
      "ngram-stories", po::value<std::int64_t>()->default_value(EvaluateOptions{}.n_ngram_stories),
      "stories that the n-gram models count")("prompt", po::value<std::string>()->default_value(""), "words")(
      "contains", po::value<std::string>()->default_value(""), "the event: these words, one after the other")(
      "length", po::value<std::int64_t>()->default_value(4), "T")(
      "log-floor", po::value<double>()->default_value(std::log(1e-6)), "log phi outside the event");
  return all;
}

void print_corpus(const Grammar& grammar, const po::variables_map& given) {
  const std::int64_t n = given.contains("stories") ? given["stories"].as<std::int64_t>() : 10;
  for (std::int64_t i = 0; i < n; ++i) {
    const auto words =
        story(grammar, given["seed"].as<std::uint64_t>(), Split::train, static_cast<std::uint64_t>(i));
    fmt::print("{}\n", grammar.decode(words));
  }
}

void make_model(const Grammar& grammar, const po::variables_map& given) {
  TrainOptions train_options;
  train_options.seed = given["seed"].as<std::uint64_t>();
  train_options.n_steps = given["steps"].as<std::int64_t>();
  const std::string out = given["out"].as<std::string>();
  TWISTOR_CHECK(!out.empty() && train_options.n_steps >= 0, ErrorKind::usage, "training the tiny model",
                "--out is missing or --steps is negative", "make_tiny train --out DIR");
  write_model(out, train(grammar, train_options), grammar.words());
}

void print_evaluation(const Grammar& grammar, const po::variables_map& given) {
  EvaluateOptions evaluate_options;
  evaluate_options.seed = given["seed"].as<std::uint64_t>();
  if (given.contains("stories")) evaluate_options.n_stories = given["stories"].as<std::int64_t>();
  evaluate_options.n_ngram_stories = given["ngram-stories"].as<std::int64_t>();
  const Gpt model = read_model(given["model"].as<std::string>(), grammar.words());
  const Evaluation result = evaluate(grammar, model, evaluate_options);
  fmt::print("{} held-out stories, {} tokens; n-grams counted {} stories\n", evaluate_options.n_stories,
             result.n_tokens, evaluate_options.n_ngram_stories);
  for (const Score& score : result.scores)
    fmt::print("{:<8}  {:.5f} nats per token  perplexity {:.4f}\n", score.name, score.nats_per_token,
               score.perplexity);
}

void print_steps(const Grammar& grammar, const ExactTarget& exact) {
  for (std::size_t t = 0; t < exact.steps.size(); ++t) {
    const StepOfTarget& step = exact.steps[t];
    std::vector<std::size_t> order(step.sigma.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::stable_sort(order.begin(), order.end(),
                     [&](auto a, auto b) { return step.sigma[a] > step.sigma[b]; });
    fmt::print("step {}: KL {:.4f} nats;", t + 1, step.kl);
    for (std::size_t i = 0; i < 6; ++i)
      fmt::print("  {} {:.4f} (base {:.4f})", grammar.words()[order[i]], step.sigma[order[i]],
                 step.p0[order[i]]);
    fmt::print("\n");
  }
}

void print_target(const Grammar& grammar, const po::variables_map& given) {
  const auto prompt = grammar.encode(given["prompt"].as<std::string>());
  const auto event = grammar.encode(given["contains"].as<std::string>());
  const std::int64_t length = given["length"].as<std::int64_t>();
  const double floor = given["log-floor"].as<double>();
  const Gpt model = read_model(given["model"].as<std::string>(), grammar.words());
  fmt::print("prompt ids: {}\nevent ids:  {}\n", fmt::join(prompt, " "), fmt::join(event, " "));
  const ExactTarget exact = enumerate_target(model, prompt, event, length);
  const ExactTarget check = enumerate_target(model.to_double(), prompt, event, length);
  fmt::print("log Z (float32 model): {:.17g}   probability {:.9g}\n", exact.log_z, std::exp(exact.log_z));
  fmt::print("log Z (float64 model): {:.17g}   probability {:.9g}\n", check.log_z, std::exp(check.log_z));
  fmt::print("log Z (grammar):       {:.17g}   probability {:.9g}\n",
             grammar_log_z(grammar, prompt, event, length),
             std::exp(grammar_log_z(grammar, prompt, event, length)));
  fmt::print("with log floor {:.17g}: log Z {:.17g} (float32), {:.17g} (float64)\n", floor,
             log_z_with_floor(exact.log_z, floor), log_z_with_floor(check.log_z, floor));
  fmt::print("64 draws of the base model hit at least once with probability {:.4f}\n",
             -std::expm1(64 * std::log1p(-std::exp(exact.log_z))));
  print_steps(grammar, exact);
  for (std::size_t i = 0; i < std::min<std::size_t>(exact.hits.size(), 16); ++i)
    fmt::print("{:.4f}  {}\n", std::exp(exact.hits[i].log_p - exact.log_z),
               grammar.decode(exact.hits[i].tokens));
}

void run(int argc, char** argv) {
  po::positional_options_description positions;
  positions.add("command", 1).add("model", 1);
  po::variables_map given;
  po::store(po::command_line_parser(argc, argv).options(options()).positional(positions).run(), given);
  const std::string command = given["command"].as<std::string>();
  if (given.contains("help") || command.empty()) {
    std::ostringstream text;
    text << usage << options();
    fmt::print("{}", text.str());
    return;
  }
  const Grammar grammar(given["grammar"].as<std::string>());
  if (command == "corpus") return print_corpus(grammar, given);
  if (command == "train") return make_model(grammar, given);
  if (command == "evaluate") return print_evaluation(grammar, given);
  if (command == "target") return print_target(grammar, given);
  throw Error(ErrorKind::usage, "reading the command line", fmt::format("'{}' is no command", command),
              "make_tiny --help lists them");
}

}  // namespace

int main(int argc, char** argv) {
  // The same instructions on every machine that has AVX2, hence the same bits; must be set before the first
  // product.
  setenv("MKL_CBWR", "AVX2,STRICT", 1);
  setenv("ATEN_CPU_CAPABILITY", "avx2", 1);
  at::set_num_threads(1);
  try {
    run(argc, argv);
    return 0;
  } catch (const Error& error) {
    fmt::print(stderr, "make_tiny: {}\n", error.text());
    return error.exit_code();
  } catch (const po::error& error) {
    fmt::print(stderr, "make_tiny: reading the command line: {}\nhint: make_tiny --help\n", error.what());
    return static_cast<int>(ErrorKind::usage);
  }
}
