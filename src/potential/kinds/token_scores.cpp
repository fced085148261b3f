// SPDX-License-Identifier: Apache-2.0
// The token-score potential and the reader of its tables.
#include "token_scores.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <fstream>
#include <limits>
#include <map>

#include "twistor/base/error.hpp"
#include "twistor/model/end_rule.hpp"

namespace twistor::potential {
namespace {

constexpr const char* making_token_scores = "making the potential 'tokens'";
constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr std::int64_t most_ids = std::int64_t{1}
                                  << 24;  // far above any vocabulary; bounds what a bad file can ask for

struct Line {
  std::int64_t id = 0;
  double score = 0;
};

/// "id score" with blanks around either; false if the line is anything else.
bool parse_line(const std::string& text, Line& line) {
  const auto skip_blanks = [&](const char* at) {
    while (at != text.data() + text.size() && (*at == ' ' || *at == '\t' || *at == '\r')) ++at;
    return at;
  };
  const char* const end = text.data() + text.size();
  const auto id = std::from_chars(skip_blanks(text.data()), end, line.id);
  if (id.ec != std::errc{}) return false;
  const char* const gap = skip_blanks(id.ptr);
  if (gap == id.ptr) return false;
  const auto score = std::from_chars(gap, end, line.score);
  return score.ec == std::errc{} && skip_blanks(score.ptr) == end;
}

double bound_of(const std::vector<double>& scores, ScoreMode mode, std::int64_t length, bool may_end) {
  const double highest = *std::max_element(scores.begin(), scores.end());
  if (mode == ScoreMode::last) return highest;
  if (length > 0 && !(may_end && highest < 0)) return highest * static_cast<double>(length);
  return highest > 0 ? infinity : highest;  // at least one token is there, and more can only lower it
}

}  // namespace

TokenScores::TokenScores(std::vector<double> log_phi_of, ScoreMode mode, std::int64_t length,
                         model::EndRule end)
    : log_phi_of_(std::move(log_phi_of)), mode_(mode), length_(length), end_(std::move(end)), bound_(0) {
  TWISTOR_CHECK(!log_phi_of_.empty(), ErrorKind::config, making_token_scores, "there are no scores",
                "set target.table");
  for (std::size_t v = 0; v < log_phi_of_.size(); ++v)
    TWISTOR_CHECK(!std::isnan(log_phi_of_[v]) && log_phi_of_[v] < infinity, ErrorKind::config,
                  making_token_scores,
                  fmt::format("beta times the score of token {} is {} (expected a finite number or -inf)", v,
                              log_phi_of_[v]));
  bound_ = bound_of(log_phi_of_, mode, length, end_.can_end());
}

std::vector<double> TokenScores::log_phi(const Sequences& sequences) const {
  TWISTOR_CHECK(length_ == 0 || sequences.length == length_, ErrorKind::usage,
                "evaluating the potential 'tokens'",
                fmt::format("sequences have {} tokens (expected {})", sequences.length, length_));
  return log_phi_of_prefix(sequences);
}

std::vector<double> TokenScores::log_phi_of_prefix(const Sequences& sequences) const {
  const auto T = static_cast<std::size_t>(sequences.length);
  std::vector<double> result;
  result.reserve(static_cast<std::size_t>(sequences.size()));
  for (std::size_t begin = 0; begin < sequences.tokens.size(); begin += T) {
    double sum = 0;
    const auto live = end_.until_end(sequences.tokens.subspan(begin, T));
    for (const std::int64_t token : mode_ == ScoreMode::bag ? live : live.last(1)) {
      TWISTOR_CHECK(token >= 0 && static_cast<std::size_t>(token) < log_phi_of_.size(), ErrorKind::usage,
                    "evaluating the potential 'tokens'",
                    fmt::format("token {} has no score (the table has {})", token, log_phi_of_.size()));
      sum += log_phi_of_[static_cast<std::size_t>(token)];
    }
    result.push_back(sum);
  }
  return result;
}

std::string TokenScores::description() const {
  return fmt::format("tokens: scores of {} ({} tokens in the table)",
                     mode_ == ScoreMode::bag ? "all tokens, added" : "the last token", log_phi_of_.size());
}

/// One state: a bag weighs every token as it comes, else only the last one counts.
std::optional<model::TokenAutomaton> TokenScores::automaton(std::span<const std::int64_t>,
                                                            std::int64_t vocab_size) const {
  if (static_cast<std::int64_t>(log_phi_of_.size()) != vocab_size) return std::nullopt;
  model::TokenAutomaton out{.vocab_size = vocab_size, .n_states = 1};
  out.next.assign(static_cast<std::size_t>(vocab_size), 0);
  out.log_final = {0};
  (mode_ == ScoreMode::bag ? out.log_weight : out.log_last) = log_phi_of_;
  return out;
}

std::vector<double> read_token_scores(const std::filesystem::path& path, std::int64_t vocab_size) {
  const std::string doing = fmt::format("reading token scores from {}", path.string());
  std::ifstream file(path);
  TWISTOR_CHECK(file.is_open(), ErrorKind::no_input, doing, "the file cannot be opened",
                "check target.table");
  std::map<std::int64_t, double> scores;
  const std::int64_t n_ids = vocab_size > 0 ? vocab_size : most_ids;
  std::string text;
  for (std::int64_t number = 1; std::getline(file, text); ++number) {
    const auto first = text.find_first_not_of(" \t\r");
    if (first == std::string::npos || text[first] == '#') continue;
    Line line;
    TWISTOR_CHECK(parse_line(text, line), ErrorKind::data, doing,
                  fmt::format("line {} is '{}' (expected 'id score')", number, text.substr(0, 60)));
    TWISTOR_CHECK(line.id >= 0 && line.id < n_ids, ErrorKind::data, doing,
                  fmt::format("line {} has token {} (expected 0 to {})", number, line.id, n_ids - 1));
    TWISTOR_CHECK(!std::isnan(line.score) && line.score < infinity, ErrorKind::data, doing,
                  fmt::format("line {} has score {} (expected a finite number or -inf)", number, line.score));
    TWISTOR_CHECK(scores.emplace(line.id, line.score).second, ErrorKind::data, doing,
                  fmt::format("line {} gives token {} a second score", number, line.id));
  }
  TWISTOR_CHECK(!file.bad(), ErrorKind::no_input, doing, "reading stopped before the end of the file");
  TWISTOR_CHECK(!scores.empty(), ErrorKind::data, doing, "there is no score in it");
  std::vector<double> result(
      static_cast<std::size_t>(vocab_size > 0 ? vocab_size : scores.rbegin()->first + 1), 0.0);
  for (const auto& [id, score] : scores) result[static_cast<std::size_t>(id)] = score;
  return result;
}

std::unique_ptr<Potential> make_token_scores(const PotentialOptions& options, const TargetContext& context) {
  const auto mode = from_name<ScoreMode>(options.mode, "target.mode", making_token_scores);
  TWISTOR_CHECK(options.scores.empty() || options.table.empty(), ErrorKind::config, making_token_scores,
                "scores are given twice, directly and by target.table");
  auto scores = options.scores;
  if (scores.empty() && !options.table.empty())
    scores = read_token_scores(options.table, context.vocab_size());
  TWISTOR_CHECK(context.vocab_size() == 0 || scores.empty() ||
                    static_cast<std::int64_t>(scores.size()) == context.vocab_size(),
                ErrorKind::config, making_token_scores,
                fmt::format("there are {} scores (expected one for each of {} tokens)", scores.size(),
                            context.vocab_size()));
  for (double& score : scores) score = options.beta == 0 ? 0 : options.beta * score;
  return std::make_unique<TokenScores>(std::move(scores), mode, options.length, context.end_rule());
}

}  // namespace twistor::potential
