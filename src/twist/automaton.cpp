// SPDX-License-Identifier: Apache-2.0
// The backward pass over an automaton and an n-gram model, and the twist that looks its values up.
#include "twistor/twist/automaton.hpp"

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "twistor/base/error.hpp"
#include "twistor/base/log_space.hpp"
#include "twistor/base/parallel.hpp"

namespace twistor::twist {
namespace {

constexpr const char* passing_back = "computing the twist of an automaton";
constexpr std::int64_t most_values = std::int64_t{1} << 27;  // 1 GiB
/// What a text that the automaton takes for worthless counts at least, beside the best, where it may err.
constexpr double log_least_share = -60;

/// exp, for numbers that may lie far below the others: no positive one becomes 0, and none infinite.
double bounded_exp(double x) {
  return x == log_zero ? 0 : std::exp(std::clamp(x, -700.0, 700.0));
}

}  // namespace

AutomatonValues::AutomatonValues(std::shared_ptr<const model::TokenAutomaton> automaton,
                                 const model::Ngram& ngram, model::EndRule end, std::int64_t T)
    : automaton_(std::move(automaton)), end_(std::move(end)), T_(T), log_final_(automaton_->log_final) {
  const model::TokenAutomaton& a = *automaton_;
  TWISTOR_ASSERT(ngram.vocab_size() == a.vocab_size && T >= 1, "an n-gram model of the same vocabulary");
  const double best = *std::ranges::max_element(log_final_);
  TWISTOR_CHECK(best != log_zero, ErrorKind::data, passing_back, "phi is 0 for every text");
  if (!a.is_exact)
    for (double& x : log_final_) x = std::max(x, best + log_least_share);
  column_.assign(static_cast<std::size_t>(a.vocab_size), 0);
  for (const std::int64_t context : ngram.contexts)
    column_[static_cast<std::size_t>(context)] = static_cast<std::int32_t>(n_columns_++);
  TWISTOR_CHECK(T * a.n_states <= most_values / n_columns_, ErrorKind::config, passing_back,
                fmt::format("{} steps, {} states and {} contexts of the n-gram model make too many values", T,
                            a.n_states, n_columns_),
                "take fewer twist.ngram_samples, twist.ngram_order = 1 or a simpler target");
  log_layers_.resize(static_cast<std::size_t>((T - 1) * a.n_states * n_columns_));
  for (std::int64_t n_left = 1; n_left < T; ++n_left) fill_layer(ngram, n_left);
  TWISTOR_CHECK(log_z(ngram, -1) != log_zero, ErrorKind::data, passing_back,
                fmt::format("phi is 0 for every text of {} tokens", T), "raise target.length");
}

double AutomatonValues::final_of(std::int64_t state, std::int64_t token) const {
  const double last =
      automaton_->log_last.empty() ? 0 : automaton_->log_last[static_cast<std::size_t>(token)];
  return log_final_[static_cast<std::size_t>(state)] + last;
}

double AutomatonValues::log_value(std::int64_t state, std::int64_t token, std::int64_t n_left) const {
  const std::int64_t next = automaton_->after(state, token);
  const double weight = automaton_->log_weight_of(token);
  if (n_left == 0 || end_.is_end(token)) return weight + final_of(next, token);
  const std::int64_t row = (n_left - 1) * automaton_->n_states + next;
  return weight +
         log_layers_[static_cast<std::size_t>(row * n_columns_ + column_[static_cast<std::size_t>(token)])];
}

/// What is expected of n_left tokens, from what is expected of one less: for tokens that are no context the
/// mean by p(v), which the others share as far as they back off to it.
void AutomatonValues::fill_layer(const model::Ngram& ngram, std::int64_t n_left) {
  const std::int64_t n_states = automaton_->n_states, V = automaton_->vocab_size;
  parallel_for(n_states, n_states > 1, [&](std::int64_t s) {
    std::vector<double> values(static_cast<std::size_t>(V));
    for (std::int64_t v = 0; v < V; ++v) values[static_cast<std::size_t>(v)] = log_value(s, v, n_left - 1);
    const double shift = *std::ranges::max_element(values);
    const auto out = std::span(log_layers_)
                         .subspan(static_cast<std::size_t>(((n_left - 1) * n_states + s) * n_columns_),
                                  static_cast<std::size_t>(n_columns_));
    if (shift == log_zero) {
      std::ranges::fill(out, log_zero);
      return;
    }
    double mean = 0;
    for (std::size_t v = 0; v < values.size(); ++v) {
      values[v] = bounded_exp(values[v] - shift);
      mean += ngram.unigram[v] * values[v];
    }
    out[0] = shift + std::log(mean);
    for (std::size_t c = 0; c < ngram.contexts.size(); ++c) {
      double sum = ngram.backoff[c] * mean;
      for (std::size_t i = ngram.begin[c]; i < ngram.begin[c + 1]; ++i)
        sum += ngram.followers[i].share * values[static_cast<std::size_t>(ngram.followers[i].token)];
      out[c + 1] = shift + std::log(sum);
    }
  });
}

double AutomatonValues::log_z(const model::Ngram& ngram, std::int64_t before) const {
  const std::vector<double> p = ngram.row(before);
  std::vector<double> terms;
  for (std::int64_t v = 0; v < automaton_->vocab_size; ++v)
    terms.push_back(std::log(p[static_cast<std::size_t>(v)]) + log_value(automaton_->start, v, T_ - 1));
  return log_sum_exp(terms);
}

std::int64_t AutomatonValues::bytes() const {
  return static_cast<std::int64_t>(log_layers_.size() * sizeof(double) +
                                   (automaton_->next.size() + column_.size()) * sizeof(std::int32_t));
}

AutomatonTwist::AutomatonTwist(const TwistOptions& options)
    : values_(options.automaton_values), first_column_(options.first_column) {
  TWISTOR_CHECK(values_ != nullptr, ErrorKind::config, "making the twist",
                "twist.form is automaton, and no automaton was made of the potential");
}

at::Tensor AutomatonTwist::features(const at::Tensor& hidden) const {
  return hidden.narrow(1, first_column_, 3);
}

void AutomatonTwist::log_psi(const at::Tensor& features, std::int64_t v_begin, std::int64_t v_end,
                             at::Tensor& out) const {
  const std::int64_t n = features.size(0), width = v_end - v_begin;
  const at::Tensor places = features.to(at::kDouble).cpu().contiguous();
  at::Tensor rows = at::empty({n, width}, at::kDouble);
  parallel_for(n, n * width > 20000, [&](std::int64_t r) {
    const double* place = places.const_data_ptr<double>() + r * 3;
    double* row = rows.mutable_data_ptr<double>() + r * width;
    // Steps beyond T: whoever reads the state after the last token does not use it.
    const std::int64_t n_left =
        std::max<std::int64_t>(0, values_->length() - 1 - static_cast<std::int64_t>(place[1]));
    for (std::int64_t v = v_begin; v < v_end; ++v)
      row[v - v_begin] = place[2] + values_->log_value(static_cast<std::int64_t>(place[0]), v, n_left);
  });
  out.narrow(1, 0, width).copy_(rows);
}

std::span<const std::string_view> automaton_forms() {
  static constexpr std::array<std::string_view, 1> forms{"automaton"};
  return forms;
}

}  // namespace twistor::twist
