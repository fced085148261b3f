// SPDX-License-Identifier: Apache-2.0
// Weights that are learned, as the sampler's decoder and as leaves of autograd's graph.
#include "twistor/model/trainable_decoder.hpp"

#include <ATen/ops/addmm.h>
#include <ATen/ops/aminmax.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>
#include <unordered_map>
#include <utility>

#include "functional_decoder.hpp"
#include "one_thread.hpp"
#include "twistor/base/error.hpp"
#include "twistor/base/philox.hpp"
#include "twistor/device/tensor_vocabulary.hpp"
#include "weights/body_tensors.hpp"
#include "weights/hugging_face_layout.hpp"

namespace twistor::model {
namespace {

constexpr const char* doing = "making the twist's body";

/// One stored tensor of the decoder.
struct Stored {
  const format::TensorInfo* in_file = nullptr;
  at::Tensor value{};  // float32 on the engine's device: the owner's where it is learned itself, else the
                       // file's; none of tables that are not learned
  bool is_transposed = false;
};

/// Rows of a table that some texts read, and which of them each token reads.
struct RowsRead {
  std::vector<std::int64_t> rows;
  at::Tensor values;  // (rows, D), a leaf
  at::Tensor place;   // (n)
};

class Learner final : public TrainableDecoder {
 public:
  Learner(DecoderSource source, const TrainableOptions& options)
      : options_(options), source_(std::move(source)) {
    collect();
    DecoderSource sampled = source_;
    sampled.is_headless = true;
    sampled.fingerprint += ":learned";
    for (std::size_t i = 0; i < stored_.size(); ++i)
      if (is_learned(i)) sampled.changing.insert(stored_[i].in_file);
    sampler_ = make_changing_decoder(std::move(sampled), {options.precision, {}, options.engine});
  }

  std::vector<LearnedTensor> tensors() const override {
    std::vector<LearnedTensor> out;
    if (options_.lora) {
      for (const std::size_t i : targets_) add_low_rank(stored_[i], out);
      return out;
    }
    for (const Stored& s : stored_)
      out.push_back({s.in_file->name, s.in_file->shape, format::read_f32(*s.in_file), is_table(s)});
    return out;
  }

  std::vector<std::string> targets() const override {
    std::set<std::string> names;
    for (const std::size_t i : targets_) names.insert(last_name(*stored_[i].in_file));
    return {names.begin(), names.end()};
  }

  const LoraOptions* lora() const override { return options_.lora ? &*options_.lora : nullptr; }
  AdapterBase adapter_base() const override {
    const std::string& family = source_.traits.family;
    const std::string root = family == "GPT-NeoX"                       ? "gpt_neox."
                             : family == "GPT-2" || family == "GPT-Neo" ? "transformer."
                                                                        : "model.";
    const std::filesystem::path path = source_.file->path();
    return {path.string(), root, source_.layers.front().qkv.is_transposed,
            std::make_shared<const HuggingFaceLayout>(source_)};
  }

  std::shared_ptr<const LanguageModel> sampler() const override { return sampler_; }

  void set_values(std::span<const at::Tensor> values) override {
    check_finite(values);
    if (options_.lora) {
      for (std::size_t i = 0; i < targets_.size(); ++i) {
        LowRank& added = weights_.low_rank.at(stored_[targets_[i]].in_file);
        follow(values[2 * i], added.a);
        follow(values[2 * i + 1], added.b);
      }
    } else {
      for (std::size_t i = 0; i < stored_.size(); ++i) {
        follow(values[i], stored_[i].value);
        weights_.values[stored_[i].in_file] = stored_[i].value;
      }
    }
    sampler_->follow([this](const format::TensorInfo& tensor) { return value_now(tensor); });
  }

  at::Tensor hidden(const Continuations& texts) const override {
    const OneThread same_bits;
    std::vector<RowsRead> tables;
    return forward(texts, tables).detach();
  }

  void gradient(const Continuations& texts, const at::Tensor& on_hidden, const Sink& sink) const override {
    const OneThread same_bits;
    std::vector<RowsRead> tables;
    forward(texts, tables).backward(on_hidden);
    if (options_.lora) {
      for (std::size_t i = 0; i < targets_.size(); ++i) {
        const LowRank& added = weights_.low_rank.at(stored_[targets_[i]].in_file);
        sink(2 * i, {}, take_gradient(added.a));
        sink(2 * i + 1, {}, take_gradient(added.b));
      }
      return;
    }
    for (std::size_t i = 0; i < stored_.size(); ++i) {
      if (!is_table(stored_[i])) {
        sink(i, {}, take_gradient(stored_[i].value));
        continue;
      }
      RowsRead& read = tables[stored_[i].in_file == source_.embedding ? 0 : 1];
      sink(i, std::move(read.rows), take_gradient(read.values));
    }
  }

 private:
  [[nodiscard]] bool is_table(const Stored& s) const {
    return s.in_file == source_.embedding || s.in_file == source_.positions;
  }

  /// What the decoder consists of, and which of it is learned.
  void collect() {
    std::set<std::string> names;
    for_each_tensor(source_, [&](const format::TensorInfo* tensor, TensorRole role) {
      if (!place_.emplace(tensor, stored_.size()).second) return;
      Stored& s = stored_.emplace_back(Stored{tensor});
      s.is_transposed = role == TensorRole::transposed_matrix;
      const bool is_matrix = role == TensorRole::matrix || s.is_transposed;
      if (is_matrix) names.insert(last_name(*tensor));
      if (options_.lora && is_matrix && is_target(*tensor)) targets_.push_back(stored_.size() - 1);
    });
    check(names);
    for (std::size_t i = 0; i < stored_.size(); ++i) prepare(i);
  }

  [[nodiscard]] bool is_learned(std::size_t stored) const {
    return !options_.lora || std::ranges::count(targets_, stored) > 0;
  }

  [[nodiscard]] bool is_target(const format::TensorInfo& tensor) const {
    const std::string module = module_name(tensor);
    return options_.lora->targets.empty() ||
           std::ranges::any_of(options_.lora->targets, [&](const std::string& target) {
             return module == target || module.ends_with("." + target);
           });
  }

  void check(const std::set<std::string>& names) const {
    if (options_.lora) {
      for (const std::string& target : options_.lora->targets)
        TWISTOR_CHECK(
            std::ranges::any_of(targets_,
                                [&](std::size_t i) {
                                  return ("." + module_name(*stored_[i].in_file)).ends_with("." + target);
                                }),
            ErrorKind::config, doing,
            fmt::format("no matrix of this model is called {} (there are {})", target,
                        fmt::join(names, ", ")),
            "correct twist.lora_targets, or leave it empty: all of them");
      TWISTOR_CHECK(options_.lora->rank >= 1, ErrorKind::config, doing,
                    fmt::format("the rank is {}, expected at least 1", options_.lora->rank),
                    "set twist.lora_rank");
      return;
    }
    for (const Stored& s : stored_)
      TWISTOR_CHECK(format::code_layout(s.in_file->type).group == 0, ErrorKind::config, doing,
                    fmt::format("twist.body = copy learns all weights, and {} of {} is stored in blocks of "
                                "few bits, which no small step can change",
                                s.in_file->name, source_.file->path().string()),
                    "set twist.body = lora, which leaves them as they are, or take the model unquantised");
  }

  /// What stays as it is goes to where gradients are computed; what is learned comes with set_values().
  void prepare(std::size_t i) {
    Stored& s = stored_[i];
    if (!options_.lora || is_table(s)) return;
    s.value = options_.engine->upload(format::read_f32(*s.in_file)).view(s.in_file->shape);
    weights_.values[s.in_file] = s.value;
    if (is_learned(i))
      weights_.low_rank[s.in_file] = {
          {}, {}, static_cast<float>(options_.lora->alpha / static_cast<double>(options_.lora->rank))};
  }

  /// Least and greatest are finite where all are.
  static void check_finite(std::span<const at::Tensor> values) {
    std::vector<at::Tensor> extremes;
    for (const at::Tensor& some : values) {
      const auto [least, greatest] = at::aminmax(some);
      extremes.push_back(least);
      extremes.push_back(greatest);
    }
    const std::vector<double> numbers = device::numbers_of(at::stack(extremes).to(at::kDouble));
    TWISTOR_CHECK(std::ranges::all_of(numbers, [](double x) { return std::isfinite(x); }), ErrorKind::data,
                  "learning the twist's body", "a weight is not finite",
                  "lower train.learning_rate, and choose another run.output to start anew");
  }

  /// `leaf` becomes one that views `value`.
  static void follow(const at::Tensor& value, at::Tensor& leaf) {
    TWISTOR_ASSERT(value.scalar_type() == at::kFloat && value.is_contiguous(),
                   "values are float32, one after another");
    leaf = value.detach().requires_grad_();
  }

  /// Of a tensor that the sampler follows.
  [[nodiscard]] at::Tensor value_now(const format::TensorInfo& tensor) const {
    const Stored& s = stored_[place_.at(&tensor)];
    if (!options_.lora) return s.value.detach();
    const OneThread same_bits;
    const auto& [a, b, scale] = weights_.low_rank.at(&tensor);
    at::Tensor sum = s.value.clone();
    if (s.is_transposed)
      sum.addmm_(a.detach().t(), b.detach().t(), 1, scale);
    else
      sum.addmm_(b.detach(), a.detach(), 1, scale);
    return sum;
  }

  /// Sizes (N, K) of a matrix.
  struct Sizes {
    std::int64_t n, k;
  };
  [[nodiscard]] static Sizes sizes_of(const Stored& s) {
    const std::vector<std::int64_t>& shape = s.in_file->shape;
    return s.is_transposed ? Sizes{shape[1], shape[0]} : Sizes{shape[0], shape[1]};
  }

  void add_low_rank(const Stored& s, std::vector<LearnedTensor>& out) const {
    const auto [n, k] = sizes_of(s);
    const std::int64_t rank = options_.lora->rank;
    std::vector<float> a(static_cast<std::size_t>(rank * k)), b(static_cast<std::size_t>(n * rank));
    const double bound = 1 / std::sqrt(static_cast<double>(k));
    for (std::int64_t r = 0; r < rank; ++r) {
      Philox random(options_.seed, Stream::lora_init, static_cast<std::uint32_t>(out.size()),
                    static_cast<std::uint64_t>(r));
      for (std::int64_t c = 0; c < k; ++c)
        a[static_cast<std::size_t>(r * k + c)] = static_cast<float>(bound * (2 * random.uniform() - 1));
    }
    const std::string module = module_name(*s.in_file);
    out.push_back({module + ".lora_A.weight", {rank, k}, std::move(a)});
    out.push_back({module + ".lora_B.weight", {n, rank}, std::move(b)});
  }

  static at::Tensor take_gradient(const at::Tensor& leaf) {
    at::Tensor& gradient = leaf.mutable_grad();
    if (!gradient.defined()) return at::zeros(leaf.sizes(), leaf.options().requires_grad(false));
    return std::exchange(gradient, {}).detach().contiguous();
  }

  static std::vector<float> rows_in_file(const format::TensorInfo& table,
                                         std::span<const std::int64_t> rows) {
    const auto width = static_cast<std::size_t>(table.shape[1]);
    std::vector<float> out(rows.size() * width);
    for (std::size_t i = 0; i < rows.size(); ++i)
      format::read_rows_f32(table, rows[i], rows[i] + 1, std::span(out).subspan(i * width, width));
    return out;
  }

  [[nodiscard]] RowsRead read_rows(const format::TensorInfo* table, std::span<const std::int64_t> all) const {
    RowsRead out{{all.begin(), all.end()}, {}, {}};
    std::sort(out.rows.begin(), out.rows.end());
    out.rows.erase(std::unique(out.rows.begin(), out.rows.end()), out.rows.end());
    std::vector<std::int64_t> place;
    for (const std::int64_t row : all)
      place.push_back(std::lower_bound(out.rows.begin(), out.rows.end(), row) - out.rows.begin());
    const at::Device device = options_.engine->device();
    if (options_.lora) {
      out.values = options_.engine->upload(rows_in_file(*table, out.rows)).view({-1, table->shape[1]});
    } else {
      const at::Tensor& whole = stored_[place_.at(table)].value;
      out.values = at::index_select(whole.detach(), 0, device::to_device(out.rows, device)).requires_grad_();
    }
    out.place = device::to_device(place, device);
    return out;
  }

  [[nodiscard]] at::Tensor forward(const Continuations& texts, std::vector<RowsRead>& tables) const {
    const auto n_prompt = static_cast<std::int64_t>(texts.prompt.size()), T = texts.length,
               n = static_cast<std::int64_t>(texts.tokens.size()) / T;
    std::vector<std::int64_t> tokens(texts.prompt.begin(), texts.prompt.end()), positions(tokens.size());
    std::iota(positions.begin(), positions.end(), std::int64_t{0});
    for (std::int64_t i = 0; i < n; ++i)
      for (std::int64_t t = 0; t + 1 < T; ++t) {
        tokens.push_back(texts.tokens[static_cast<std::size_t>(i * T + t)]);
        positions.push_back(n_prompt + t);
      }
    const auto look_up = [&](const format::TensorInfo* table, std::span<const std::int64_t> rows) {
      const RowsRead& read = tables.emplace_back(read_rows(table, rows));
      return at::index_select(read.values, 0, read.place);
    };
    at::Tensor x = look_up(source_.embedding, tokens);
    if (source_.traits.embedding_scale != 1) x = x.mul(static_cast<float>(source_.traits.embedding_scale));
    if (source_.positions != nullptr) x = x.add(look_up(source_.positions, positions));
    return functional_hidden(source_, weights_, x, {n_prompt, n, T});
  }

  TrainableOptions options_;
  DecoderSource source_;  // as the file has it
  std::vector<Stored> stored_;
  std::unordered_map<const format::TensorInfo*, std::size_t> place_;  // in stored_
  std::vector<std::size_t> targets_;                                  // of low-rank additions, likewise
  FunctionalWeights weights_;                                         // by tensors of the file
  std::shared_ptr<ChangingDecoder> sampler_;
};

}  // namespace

std::unique_ptr<TrainableDecoder> load_trainable_decoder(const std::filesystem::path& path,
                                                         const TrainableOptions& options) {
  DecoderSource source = open_decoder(path);
  set_context(source, options.context);
  return std::make_unique<Learner>(std::move(source), options);
}

}  // namespace twistor::model
