// SPDX-License-Identifier: Apache-2.0
// Weights that are learned, as the sampler's decoder and as leaves of autograd's graph.
#include "twistor/model/trainable_decoder.hpp"

#include <ATen/ops/addmm.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/index_select.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <deque>
#include <numeric>
#include <set>
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

at::Tensor view_of(std::span<const float> values, at::IntArrayRef shape) {
  return at::from_blob(const_cast<float*>(values.data()), shape, at::kFloat);
}

/// The decoder of the weights as they are now.
class Sampler final : public LanguageModel {
 public:
  Sampler(const TrainableOptions& options, std::string fingerprint)
      : engine_(options.engine), precision_(options.precision), fingerprint_(std::move(fingerprint)) {}

  /// The old one goes first: both would take twice the memory.
  void follow(const DecoderSource& source) {
    decoder_.reset();
    LoadOptions options{precision_, {}, engine_};
    options.memory.allocate = [this](std::size_t bytes) {
      memory_.resize(bytes + 64);  // the same every time
      const auto address = reinterpret_cast<std::uintptr_t>(memory_.data());
      return memory_.data() + (64 - address % 64) % 64;
    };
    decoder_ = make_decoder(source, options);
    ++revision_;
  }

  std::int64_t vocab_size() const override { return decoder_->vocab_size(); }
  std::int64_t hidden_size() const override { return decoder_->hidden_size(); }
  std::int64_t context_length() const override { return decoder_->context_length(); }
  at::ScalarType hidden_dtype() const override { return decoder_->hidden_dtype(); }
  std::string fingerprint() const override { return fingerprint_; }
  std::string description() const override { return decoder_->description(); }
  std::unique_ptr<Cache> make_cache(std::int64_t n) const override { return decoder_->make_cache(n); }
  at::Tensor forward(std::span<const std::int64_t> tokens, Cache& cache) const override {
    return decoder_->forward(tokens, cache);
  }
  void logits(const at::Tensor& hidden, std::int64_t v_begin, std::int64_t v_end,
              at::Tensor& out) const override {
    decoder_->logits(hidden, v_begin, v_end, out);
  }
  std::int64_t revision() const override { return revision_; }
  std::shared_ptr<const device::Engine> engine() const override { return engine_; }

 private:
  std::shared_ptr<const device::Engine> engine_;
  device::Precision precision_;
  std::string fingerprint_;
  std::unique_ptr<LanguageModel> decoder_;
  std::vector<std::byte> memory_;
  std::int64_t revision_ = 0;
};

/// One stored tensor of the decoder.
struct Stored {
  const format::TensorInfo* in_file = nullptr;
  format::TensorInfo now{};  // what the sampler reads: in_file, or the same name and shape with other values
  at::Tensor host{};         // of a matrix with a low-rank addition: its values now
  at::Tensor value{};        // the same on the engine's device, a leaf where it is learned itself
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
      : options_(options), source_(std::move(source)), now_(source_) {
    now_.is_headless = true;
    collect();
    sampler_ = std::make_shared<Sampler>(options, source_.fingerprint + ":learned");
    sampler_->follow(now_);
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

  void set_values(std::span<const std::span<const float>> values) override {
    for (const std::span<const float> some : values) check_finite(some);
    if (options_.lora) {
      const OneThread same_bits;
      for (std::size_t i = 0; i < targets_.size(); ++i)
        set_low_rank(stored_[targets_[i]], values[2 * i], values[2 * i + 1]);
    } else {
      for (std::size_t i = 0; i < stored_.size(); ++i) set_all(stored_[i], values[i]);
    }
    sampler_->follow(now_);
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
    std::unordered_map<const format::TensorInfo*, std::size_t> place;
    for_each_tensor(source_, [&](const format::TensorInfo*& tensor, TensorRole role) {
      if (!place.emplace(tensor, stored_.size()).second) return;
      Stored& s = stored_.emplace_back(Stored{tensor, *tensor});
      s.is_transposed = role == TensorRole::transposed_matrix;
      const bool is_matrix = role == TensorRole::matrix || s.is_transposed;
      if (is_matrix) names.insert(last_name(*tensor));
      if (options_.lora && is_matrix && is_target(*tensor)) targets_.push_back(stored_.size() - 1);
    });
    check(names);
    for (std::size_t i = 0; i < stored_.size(); ++i) prepare(stored_[i], std::ranges::count(targets_, i) > 0);
    // Only now that all are there do they stay where they are.
    for_each_tensor(now_, [&](const format::TensorInfo*& tensor, TensorRole) {
      tensor = &stored_[place.at(tensor)].now;
    });
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

  void prepare(Stored& s, bool is_low_rank) {
    const auto device = options_.engine->device();
    const auto options = at::TensorOptions().dtype(at::kFloat);
    if (is_low_rank) {
      s.host = at::empty(s.in_file->shape, options);
      const std::int64_t k = s.in_file->shape[s.is_transposed ? 0 : 1],
                         n = s.in_file->shape[s.is_transposed ? 1 : 0], rank = options_.lora->rank;
      const auto leaf = [&](at::IntArrayRef shape) {
        return at::empty(shape, options.device(device)).requires_grad_();
      };
      weights_.low_rank[s.in_file] = {leaf({rank, k}), leaf({n, rank}),
                                      static_cast<float>(options_.lora->alpha / static_cast<double>(rank))};
    }
    if (is_table(s)) return;  // looked up where they are
    s.value =
        s.host.defined() && device.is_cpu() ? s.host : at::empty(s.in_file->shape, options.device(device));
    if (!options_.lora) s.value.requires_grad_();
    if (options_.lora && !is_low_rank) {
      const std::vector<float> values = format::read_f32(*s.in_file);
      s.value.copy_(view_of(values, s.in_file->shape));
    }
    weights_.values[s.in_file] = s.value;
  }

  static std::size_t numel(const Stored& s) { return static_cast<std::size_t>(s.in_file->numel()); }

  static void check_finite(std::span<const float> values) {
    TWISTOR_CHECK(std::ranges::all_of(values, [](float x) { return std::isfinite(x); }), ErrorKind::data,
                  "learning the twist's body", "a weight is not finite",
                  "lower train.learning_rate, and choose another run.output to start anew");
  }

  static void read_from(Stored& s, std::span<const float> values) {
    s.now.type = format::StoredType::f32;
    s.now.bytes = std::as_bytes(values);
  }

  void set_all(Stored& s, std::span<const float> values) const {
    TWISTOR_ASSERT(values.size() == numel(s), "values have the size of their tensor");
    read_from(s, values);
    if (s.value.defined()) s.value.detach().copy_(view_of(values, s.in_file->shape));
  }

  void set_low_rank(Stored& s, std::span<const float> a, std::span<const float> b) {
    const LowRank& added = weights_.low_rank.at(s.in_file);
    TWISTOR_ASSERT(static_cast<std::int64_t>(a.size()) == added.a.numel() &&
                       static_cast<std::int64_t>(b.size()) == added.b.numel(),
                   "values have the size of their tensor");
    const at::Tensor host_a = view_of(a, added.a.sizes()).clone(),
                     host_b = view_of(b, added.b.sizes()).clone();
    added.a.detach().copy_(host_a);
    added.b.detach().copy_(host_b);
    format::read_rows_f32(*s.in_file, 0, s.in_file->shape[0], {s.host.mutable_data_ptr<float>(), numel(s)});
    if (s.is_transposed) {
      s.host.addmm_(host_a.t(), host_b.t(), 1, added.scale);
    } else {
      s.host.addmm_(host_b, host_a, 1, added.scale);
    }
    read_from(s, {s.host.const_data_ptr<float>(), numel(s)});
    if (!s.value.is_same(s.host)) s.value.copy_(s.host);
  }

  void add_low_rank(const Stored& s, std::vector<LearnedTensor>& out) const {
    const LowRank& added = weights_.low_rank.at(s.in_file);
    const std::int64_t rank = added.a.size(0), k = added.a.size(1), n = added.b.size(0);
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

  [[nodiscard]] RowsRead read_rows(const format::TensorInfo* table, std::span<const std::int64_t> all) const {
    RowsRead out{{all.begin(), all.end()}, {}, {}};
    std::sort(out.rows.begin(), out.rows.end());
    out.rows.erase(std::unique(out.rows.begin(), out.rows.end()), out.rows.end());
    const std::int64_t d = table->shape[1];
    std::vector<float> values;
    std::vector<std::int64_t> place;
    for (const std::int64_t row : out.rows) {
      values.resize(values.size() + static_cast<std::size_t>(d));
      format::read_rows_f32(*table, row, row + 1, std::span(values).last(static_cast<std::size_t>(d)));
    }
    for (const std::int64_t row : all)
      place.push_back(std::lower_bound(out.rows.begin(), out.rows.end(), row) - out.rows.begin());
    const at::Device device = options_.engine->device();
    out.values = options_.engine->upload(values).view({-1, d});
    if (!options_.lora) out.values.requires_grad_();
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
    at::Tensor x = look_up(now_.embedding, tokens);
    if (source_.traits.embedding_scale != 1) x = x.mul(static_cast<float>(source_.traits.embedding_scale));
    if (now_.positions != nullptr) x = x.add(look_up(now_.positions, positions));
    return functional_hidden(source_, weights_, x, {n_prompt, n, T});
  }

  TrainableOptions options_;
  DecoderSource source_;  // as the file has it
  DecoderSource now_;     // the same with stored_'s tensors of now
  std::deque<Stored> stored_;
  std::vector<std::size_t> targets_;  // of low-rank additions, in stored_
  FunctionalWeights weights_;         // by tensors of the file
  std::shared_ptr<Sampler> sampler_;
};

}  // namespace

std::unique_ptr<TrainableDecoder> load_trainable_decoder(const std::filesystem::path& path,
                                                         const TrainableOptions& options) {
  DecoderSource source = open_decoder(path);
  set_context(source, options.context);
  return std::make_unique<Learner>(std::move(source), options);
}

}  // namespace twistor::model
