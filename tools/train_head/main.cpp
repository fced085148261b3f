// SPDX-License-Identifier: Apache-2.0
// train_head: makes a linear head over a sentence encoder from labelled texts, for the potential linear_head.
#include <fmt/format.h>

#include <algorithm>
#include <boost/program_options.hpp>
#include <cmath>
#include <cstdio>
#include <iostream>

#include "train_head/examples.hpp"
#include "train_head/logistic.hpp"
#include "twistor/base/error.hpp"
#include "twistor/model/linear_head.hpp"
#include "twistor/model/sentence_encoder.hpp"

namespace {

namespace po = boost::program_options;
using namespace twistor;
using namespace twistor::train_head;

constexpr const char* usage =
    "train_head --encoder FOLDER --lines CLASS=FILE --lines CLASS=FILE ... --out FILE\n"
    "train_head --encoder FOLDER --table FILE --out FILE\n"
    "Logistic regression with L2 on sentence vectors as they are; accuracy on texts that were held out.\n"
    "Options:\n";

po::options_description options() {
  po::options_description all;
  all.add_options()("help", "this text")("encoder", po::value<std::string>(),
                                         "folder of the sentence encoder (launch/get_model.sh minilm)")(
      "lines", po::value<std::vector<std::string>>()->default_value({}, ""), "texts of a class, one a line")(
      "table", po::value<std::vector<std::string>>()->default_value({}, ""),
      "texts of all classes, lines of class TAB text")("out", po::value<std::string>(), "file to write")(
      "l2", po::value<double>()->default_value(1e-4),
      "penalty: mean cross-entropy + l2 / 2 |W|^2 is minimised")(
      "test-share", po::value<double>()->default_value(0.1),
      "share of texts that are held out, by a hash of their number")(
      "data", po::value<std::string>()->default_value(""), "what the texts are; kept in the file");
  return all;
}

std::string required(const po::variables_map& given, const char* name) {
  TWISTOR_CHECK(given.contains(name), ErrorKind::usage, "reading the command line",
                fmt::format("--{} is missing", name), "train_head --help");
  return given[name].as<std::string>();
}

Examples read_examples(const po::variables_map& given) {
  Examples examples;
  for (const std::string& value : given["lines"].as<std::vector<std::string>>()) {
    const std::size_t equals = value.find('=');
    TWISTOR_CHECK(equals != std::string::npos && equals > 0, ErrorKind::usage, "reading the command line",
                  fmt::format("--lines is '{}' (expected CLASS=FILE)", value), "train_head --help");
    add_lines(examples, value.substr(0, equals), value.substr(equals + 1));
  }
  for (const std::string& file : given["table"].as<std::vector<std::string>>()) add_table(examples, file);
  TWISTOR_CHECK(examples.classes.size() >= 2, ErrorKind::data, "reading examples",
                fmt::format("expected at least two classes, got {}", examples.classes.size()),
                "give several --lines, or a --table with several classes");
  return examples;
}

/// Vectors and labels of one side of the division.
struct Side {
  std::vector<float> x;
  std::vector<std::int64_t> y;
};

Side side_of(const Examples& examples, const std::vector<float>& vectors, double share, bool wants_test) {
  const std::size_t D = vectors.size() / examples.texts.size();
  Side side;
  for (std::size_t i = 0; i < examples.texts.size(); ++i) {
    if (is_test(static_cast<std::int64_t>(i), share) != wants_test) continue;
    const auto at = vectors.begin() + static_cast<std::ptrdiff_t>(i * D);
    side.x.insert(side.x.end(), at, at + static_cast<std::ptrdiff_t>(D));
    side.y.push_back(examples.labels[i]);
  }
  TWISTOR_CHECK(!side.y.empty(), ErrorKind::data, "dividing the examples",
                fmt::format("there is none to {}", wants_test ? "test with" : "learn from"),
                "give more texts, or another --test-share");
  return side;
}

double accuracy_of(const model::LinearHead& head, const Side& side) {
  const std::vector<double> logits = head.logits(side.x);
  const auto C = static_cast<std::ptrdiff_t>(head.classes.size());
  std::int64_t n_right = 0;
  for (std::size_t i = 0; i < side.y.size(); ++i) {
    const auto row = logits.begin() + static_cast<std::ptrdiff_t>(i) * C;
    n_right += std::max_element(row, row + C) - row == side.y[i] ? 1 : 0;
  }
  return static_cast<double>(n_right) / static_cast<double>(side.y.size());
}

model::LinearHead learn(const Examples& examples, const Side& side, double l2) {
  const std::size_t C = examples.classes.size(), D = side.x.size() / side.y.size();
  const Objective loss = loss_of({side.x, side.y, static_cast<std::int64_t>(C), l2});
  const Minimum minimum = minimise(loss, std::vector<double>(C * (D + 1), 0.0), 1e-7, 10000);
  fmt::print("loss {:.6f} after {} iterations, largest gradient {:.1e}\n", minimum.value,
             minimum.n_iterations, minimum.largest_gradient);
  const auto split = minimum.x.begin() + static_cast<std::ptrdiff_t>(C * D);
  return {examples.classes, {minimum.x.begin(), split}, {split, minimum.x.end()}, {}, {}};
}

int run(const po::variables_map& given) {
  const std::string out = required(given, "out");
  const model::SentenceEncoder encoder(required(given, "encoder"));
  const double share = given["test-share"].as<double>(), l2 = given["l2"].as<double>();
  TWISTOR_CHECK(l2 > 0 && std::isfinite(l2), ErrorKind::usage, "reading the command line",
                fmt::format("--l2 is {} (expected above 0)", l2));
  const Examples examples = read_examples(given);
  fmt::print("{} texts of {} classes; {}\n", examples.texts.size(), examples.classes.size(),
             encoder.description());
  const std::vector<float> vectors = encoder.embed(std::span<const std::string>(examples.texts));
  const Side train = side_of(examples, vectors, share, false), test = side_of(examples, vectors, share, true);
  model::LinearHead head = learn(examples, train, l2);
  head.encoder_fingerprint = encoder.space_fingerprint();
  const std::string on_train = fmt::format("{:.4f}", accuracy_of(head, train)),
                    on_test = fmt::format("{:.4f}", accuracy_of(head, test));
  fmt::print("accuracy: {} on the {} texts learned from, {} on the {} held out\n", on_train, train.y.size(),
             on_test, test.y.size());
  head.notes = {{"data", given["data"].as<std::string>()},
                {"l2", fmt::format("{}", l2)},
                {"n_train", std::to_string(train.y.size())},
                {"n_test", std::to_string(test.y.size())},
                {"train_accuracy", on_train},
                {"test_accuracy", on_test}};
  model::write_linear_head(out, head);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    po::variables_map given;
    po::store(po::parse_command_line(argc, argv, options()), given);
    if (!given.contains("help")) return run(given);
    std::cout << usage << options();
    return 0;
  } catch (const Error& error) {
    fmt::print(stderr, "{}\n", error.text());
    return error.exit_code();
  } catch (const po::error& error) {
    fmt::print(stderr, "{}\nhint: train_head --help\n", error.what());
    return 64;
  }
}
