// SPDX-License-Identifier: Apache-2.0
// What benchmarks share: medians, models by path, and the rough target that makes weights uneven.
#pragma once

#include <ATen/core/Tensor.h>
#include <fmt/core.h>
#include <omp.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "support/random_model.hpp"
#include "twistor/base/error.hpp"
#include "twistor/base/stopwatch.hpp"
#include "twistor/base/strings.hpp"
#include "twistor/comm/communicator.hpp"
#include "twistor/comm/node_memory.hpp"
#include "twistor/model/load.hpp"
#include "twistor/potential/potential.hpp"
#include "twistor/twist/head.hpp"

namespace twistor::bench {

/// A model that passes every call on to another, for those that watch some of them.
class ForwardingModel : public model::LanguageModel {
 public:
  explicit ForwardingModel(const model::LanguageModel& lm) : lm_(lm) {}
  std::int64_t vocab_size() const override { return lm_.vocab_size(); }
  std::int64_t hidden_size() const override { return lm_.hidden_size(); }
  std::int64_t context_length() const override { return lm_.context_length(); }
  at::ScalarType hidden_dtype() const override { return lm_.hidden_dtype(); }
  std::string fingerprint() const override { return lm_.fingerprint(); }
  std::string description() const override { return lm_.description(); }
  std::shared_ptr<const device::Engine> engine() const override { return lm_.engine(); }
  std::unique_ptr<model::Cache> make_cache(std::int64_t n) const override { return lm_.make_cache(n); }
  at::Tensor forward(std::span<const std::int64_t> tokens, model::Cache& cache) const override {
    return lm_.forward(tokens, cache);
  }
  void logits(const at::Tensor& hidden, std::int64_t v_begin, std::int64_t v_end,
              at::Tensor& out) const override {
    lm_.logits(hidden, v_begin, v_end, out);
  }

 private:
  const model::LanguageModel& lm_;
};

/// The shortest of `repeats` runs of f: what other processes take counts least there.
template <class F>
double best_time(int repeats, F f) {
  double best = std::numeric_limits<double>::infinity();
  for (int i = 0; i < repeats; ++i) best = std::min(best, seconds_of(f));
  return best;
}

inline double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

inline const char* goal(bool is_met) {
  return is_met ? "met" : "missed";
}

/// "1,16,64" as numbers.
inline std::vector<std::int64_t> numbers(const std::string& text) {
  std::vector<std::int64_t> out;
  for (const std::string_view part : split(text, ',')) out.push_back(std::stoll(std::string(part)));
  return out;
}

/// n token ids that look like nothing in particular.
inline std::vector<std::int64_t> some_tokens(std::int64_t n, std::int64_t vocab_size, std::uint64_t id = 0) {
  Philox random(2, Stream::test, 0, id);
  std::vector<std::int64_t> out;
  for (std::int64_t i = 0; i < n; ++i)
    out.push_back(static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(vocab_size))));
  return out;
}

/// The folder for random models: kept between runs, because the larger takes seconds to make.
inline std::filesystem::path scratch_folder() {
  const char* folder = std::getenv("TWISTOR_BENCH_SCRATCH");
  return folder != nullptr ? std::filesystem::path(folder) : std::filesystem::temp_directory_path();
}

inline std::filesystem::path random_768() {
  return test::make_random_gpt2(scratch_folder() / "twistor-bench-768x4", 50257, 768, 4, 12, 1024);
}

/// Small, with room for 128 tokens after a prompt.
inline std::filesystem::path random_tiny() {
  return test::make_random_gpt2(scratch_folder() / "twistor-bench-64x2", 512, 64, 2, 4, 256);
}

/// As large as the smallest GPT-2, 124 M parameters.
inline std::filesystem::path random_gpt2() {
  return test::make_random_gpt2(scratch_folder() / "twistor-bench-768x12", 50257, 768, 12, 12, 1024);
}

/// SmolLM2-135M from the cache if launch/get_model.sh has put it there, else the random 768x4 model.
inline std::filesystem::path default_model() {
  const char* cache = std::getenv("TWISTOR_CACHE");
  const char* home = std::getenv("HOME");
  const std::filesystem::path root =
      cache != nullptr ? std::filesystem::path(cache)
                       : std::filesystem::path(home == nullptr ? "/" : home) / ".cache/twistor";
  const auto smollm2 = root / "models/smollm2/SmolLM2-135M-Instruct.Q4_1.gguf";
  return std::filesystem::exists(smollm2) ? smollm2 : random_768();
}

/// "tiny", "random-tiny", "random-768", "random-gpt2", "default" or a path.
inline std::filesystem::path model_path(const std::string& name) {
  if (name == "random-tiny") return random_tiny();
  if (name == "random-768") return random_768();
  if (name == "random-gpt2") return random_gpt2();
  if (name == "default") return default_model();
  if (name == "tiny") return TWISTOR_SOURCE_DIR "/models/tiny";
  return name;
}

/// A model whose weights exist once a node.
struct SharedModel {
  comm::Communicator node;
  std::optional<comm::NodeMemory> weights;
  std::unique_ptr<model::LanguageModel> lm;
};

/// *Collective over world.* Rank 0 makes a random model's files first.
inline std::unique_ptr<SharedModel> load_shared(const std::string& name, device::Precision precision,
                                                const comm::Communicator& world) {
  if (world.rank() == 0) (void)model_path(name);
  world.barrier();
  auto out = std::make_unique<SharedModel>(SharedModel{world.node(), std::nullopt, nullptr});
  model::LoadOptions options;
  options.precision = precision;
  if (out->node.size() > 1) {
    options.memory.is_writer = out->node.rank() == 0;
    options.memory.allocate = [&out](std::size_t bytes) {
      out->weights.emplace(out->node, bytes);
      return out->weights->bytes().data();
    };
    options.memory.publish = [&out] { out->weights->publish(); };
  }
  out->lm = model::load_language_model(model_path(name), options);
  return out;
}

/// phi = 1: all unevenness of the weights comes from the twist.
class FlatPotential final : public potential::Potential {
 public:
  [[nodiscard]] std::vector<double> log_phi(const potential::Sequences& sequences) const override {
    return std::vector<double>(static_cast<std::size_t>(sequences.size()), 0.0);
  }
  [[nodiscard]] double log_phi_bound() const override { return 0; }
  [[nodiscard]] std::string description() const override { return "1"; }
};

/// A random twist with log psi of standard deviation `sd` after the prompt. With the twist-induced proposal
/// a step then adds about sd^2 to the variance of log w, so that at sd = 0.5 ESS falls below K / 2 about
/// every third step.
inline twist::HeadTwist rough_twist(const model::LanguageModel& lm, std::span<const std::int64_t> prompt,
                                    device::Precision precision, double sd,
                                    const std::string& form = "linear") {
  const auto cache = lm.make_cache(1);
  const at::Tensor hidden = lm.forward(prompt, *cache);
  double squares = 0;
  for (const float x : device::to_host(hidden)) squares += static_cast<double>(x) * static_cast<double>(x);
  const double norm = std::sqrt(squares / static_cast<double>(prompt.size()));
  const double weight_sd = std::sqrt(2.0 / static_cast<double>(lm.vocab_size() + lm.hidden_size()));
  return {form,
          {.width = lm.hidden_size(),
           .vocab_size = lm.vocab_size(),
           .precision = precision,
           .init_scale = sd / (norm * weight_sd),
           .engine = lm.engine()}};
}

/// The frame of a benchmark's main: errors are printed with their hint.
template <class F>
int run_main(F f) {
  try {
    f();
    return 0;
  } catch (const Error& error) {
    fmt::print(stderr, "{}\n", error.text());
    return error.exit_code();
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}\n", error.what());
    return 70;
  }
}

}  // namespace twistor::bench
