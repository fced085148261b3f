// SPDX-License-Identifier: Apache-2.0
// Walking an automaton, and the cache that remembers where it stands.
#include "twistor/model/automaton_model.hpp"

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <fmt/format.h>

#include <array>
#include <cstring>
#include <utility>

#include "twistor/base/error.hpp"

namespace twistor::model {
namespace {

/// Where the automaton stands after the tokens of one sequence.
struct Place {
  std::int64_t state = 0, n_tokens = 0;
  double log_weight = 0;
};

/// A place is all that there is to know of a past, so nothing is shared and every message is whole.
class AutomatonCache final : public Cache {
 public:
  explicit AutomatonCache(std::vector<Place> places) : places_(std::move(places)) {
    if (!places_.empty()) length_ = places_.front().n_tokens;
  }
  std::int64_t n_sequences() const override { return static_cast<std::int64_t>(places_.size()); }
  std::int64_t length() const override { return length_; }
  std::vector<Place>& places() { return places_; }
  void grow(std::int64_t n) { length_ += n; }

  void select(std::span<const std::int64_t> parents) override {
    std::vector<Place> chosen;
    for (const std::int64_t parent : parents) {
      TWISTOR_CHECK(parent >= 0 && parent < n_sequences(), ErrorKind::usage, "selecting cached sequences",
                    fmt::format("parent {} of {} sequences", parent, n_sequences()));
      chosen.push_back(places_[static_cast<std::size_t>(parent)]);
    }
    places_ = std::move(chosen);
  }
  std::unique_ptr<Cache> fork() const override { return std::make_unique<AutomatonCache>(*this); }

  std::vector<std::byte> export_sequence(std::int64_t sequence, std::int64_t) const override {
    const auto bytes = std::as_bytes(std::span(&places_.at(static_cast<std::size_t>(sequence)), 1));
    return {bytes.begin(), bytes.end()};
  }
  std::int64_t import_sequence(std::span<const std::int64_t>, std::int64_t,
                               std::span<const std::byte> bytes) override {
    Place place;
    TWISTOR_CHECK(bytes.size() == sizeof place, ErrorKind::data, "receiving the state of an automaton",
                  fmt::format("{} bytes (expected {})", bytes.size(), sizeof place));
    std::memcpy(&place, bytes.data(), sizeof place);
    TWISTOR_CHECK(places_.empty() || place.n_tokens == length_, ErrorKind::data,
                  "receiving the state of an automaton",
                  fmt::format("it has {} tokens where the others have {}", place.n_tokens, length_));
    length_ = place.n_tokens;
    places_.push_back(place);
    return n_sequences() - 1;
  }
  CacheUse use() const override {
    return {.live_bytes = n_sequences() * static_cast<std::int64_t>(sizeof(Place))};
  }

 private:
  std::vector<Place> places_;
  std::int64_t length_ = 0;
};

}  // namespace

AutomatonModel::AutomatonModel(std::shared_ptr<const TokenAutomaton> automaton, const LanguageModel& beside,
                               std::int64_t n_prompt)
    : automaton_(std::move(automaton)),
      fingerprint_(automaton_->fingerprint()),
      engine_(beside.engine()),
      dtype_(beside.hidden_dtype()),
      context_length_(beside.context_length()),
      n_prompt_(n_prompt) {
  TWISTOR_ASSERT(automaton_->vocab_size == beside.vocab_size(), "an automaton over the model's vocabulary");
  TWISTOR_ASSERT(automaton_->n_states < (std::int64_t{1} << 24), "states are exact as float32");
}

std::string AutomatonModel::description() const {
  return fmt::format("automaton of {} states", automaton_->n_states);
}

std::unique_ptr<Cache> AutomatonModel::make_cache(std::int64_t n) const {
  return std::make_unique<AutomatonCache>(
      std::vector<Place>(static_cast<std::size_t>(n), Place{automaton_->start}));
}

at::Tensor AutomatonModel::forward(std::span<const std::int64_t> tokens, Cache& cache) const {
  auto* const own = dynamic_cast<AutomatonCache*>(&cache);
  TWISTOR_ASSERT(own != nullptr, "the cache belongs to another model");
  const std::int64_t n = own->n_sequences(), L = n == 0 ? 0 : static_cast<std::int64_t>(tokens.size()) / n;
  at::Tensor hidden = at::empty({n, L, n_columns}, at::kDouble);
  double* out = hidden.mutable_data_ptr<double>();
  auto token = tokens.begin();
  for (Place& place : own->places())
    for (std::int64_t l = 0; l < L; ++l, ++token) {
      if (place.n_tokens++ >= n_prompt_) {
        place.state = automaton_->after(place.state, *token);
        place.log_weight += automaton_->log_weight_of(*token);
      }
      *out++ = static_cast<double>(place.state);
      *out++ = static_cast<double>(std::max<std::int64_t>(0, place.n_tokens - n_prompt_));
      *out++ = place.log_weight;
    }
  own->grow(L);
  return hidden.to(at::TensorOptions().dtype(dtype_).device(engine_->device()));
}

void AutomatonModel::logits(const at::Tensor&, std::int64_t, std::int64_t, at::Tensor&) const {
  throw Error(ErrorKind::internal, "asking an automaton for probabilities", "it has none");
}

}  // namespace twistor::model
