// SPDX-License-Identifier: Apache-2.0
// A decoder whose weights are learned: all of them, or low-rank additions to some.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "twistor/model/language_model.hpp"

namespace twistor::model {

class HuggingFaceLayout;

/// W + alpha / rank * B A in the place of a matrix W (N, K), with A (rank, K) and B (N, rank), as Hu et al.
/// 2022.
struct LoraOptions {
  std::int64_t rank = 8;
  double alpha = 16;
  /// Last part of the names of matrices, such as q_proj; empty: all matrices of the layers.
  std::vector<std::string> targets{};
};

struct TrainableOptions {
  device::Precision precision = device::Precision::float32;  ///< of the sampler's products
  std::shared_ptr<const device::Engine> engine = device::cpu_engine();
  std::optional<LoraOptions> lora{};  ///< none: all weights but the output matrix are learned
  std::uint64_t seed = 1;             ///< of the first A; B begins at 0
  std::int64_t context = 0;           ///< as LoadOptions::context
};

/// A tensor that is learned, row-major float32.
struct LearnedTensor {
  std::string name;  ///< as the file has it; for low-rank additions MATRIX.lora_A, MATRIX.lora_B
  std::vector<std::int64_t> shape;  ///< as the file has it
  std::vector<float> value;
  bool is_table = false;  ///< rows by number: a gradient comes as those rows that the texts read
};

/// What PEFT's files say about the model beneath low-rank additions.
struct AdapterBase {
  std::string model;  ///< path it was read from
  std::string root;   ///< what comes before names of matrices that the file keeps without: "transformer."
  bool is_transposed = false;  ///< matrices are stored (K, N)
  /// How the names and rows of the file become those of Hugging Face's layout.
  std::shared_ptr<const HuggingFaceLayout> layout;
};

/// n sequences of `length` tokens that continue one prompt.
struct Continuations {
  std::span<const std::int64_t> prompt;  ///< at least one
  std::span<const std::int64_t> tokens;  ///< (n * length) row-major
  std::int64_t length = 0;
};

/// Two sides of the same weights: a language model for the sampler, and gradients by its weights. It begins
/// as the model in the file.
class TrainableDecoder {
 public:
  /// `rows` (increasing) of a table, else empty; `values` of those rows, or of the whole tensor, float32 and
  /// contiguous, on the engine's device.
  using Sink = std::function<void(std::size_t tensor, std::vector<std::int64_t> rows, at::Tensor values)>;

  virtual ~TrainableDecoder() = default;
  /// What is learned, in a fixed order, with its first values.
  [[nodiscard]] virtual std::vector<LearnedTensor> tensors() const = 0;
  /// The names of the matrices that are learned, without numbers of layers: q_proj, k_proj, ...
  [[nodiscard]] virtual std::vector<std::string> targets() const = 0;

  /// nullptr where all weights are learned.
  [[nodiscard]] virtual const LoraOptions* lora() const = 0;
  [[nodiscard]] virtual AdapterBase adapter_base() const = 0;

  /// The sampler's side, without logits. It follows set_values(), and its revision() with it.
  [[nodiscard]] virtual std::shared_ptr<const LanguageModel> sampler() const = 0;
  /// New values of all that is learned, in the order of tensors(): float32, contiguous, in their shapes, on
  /// the engine's device. They are viewed, not copied: whoever owns them keeps them, and does not change them
  /// without calling this again, for as long as somebody samples from sampler() or asks for gradients. Throws
  /// Error(data) where one is not finite.
  virtual void set_values(std::span<const at::Tensor> values) = 0;

  /// Hidden states before each token by the side that gradients come from, (n * length, D) float32: the
  /// sampler's up to rounding. *Local.*
  [[nodiscard]] virtual at::Tensor hidden(const Continuations& texts) const = 0;
  /// d/d tensors of sum(on_hidden * hidden(texts)), each tensor once in order. on_hidden: (n * length, D).
  /// *Local.* LibTorch computes on one thread meanwhile, so that equal input gives equal bits whatever the
  /// number of threads.
  virtual void gradient(const Continuations& texts, const at::Tensor& on_hidden, const Sink& sink) const = 0;
};

/// Reads a model as load_language_model(). *Local.* Throws what that throws; Error(config) if all weights are
/// to be learned and some are stored in blocks of few bits, or if no matrix has a name among lora.targets
/// (with the list of names that there are).
[[nodiscard]] std::unique_ptr<TrainableDecoder> load_trainable_decoder(const std::filesystem::path& path,
                                                                       const TrainableOptions& options);

}  // namespace twistor::model
