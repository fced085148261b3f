// SPDX-License-Identifier: Apache-2.0
// Bodies from a model's files, and adapters from bodies.
#include "twistor/twist/load_body.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <system_error>
#include <utility>

#include "twistor/base/atomic_file.hpp"
#include "twistor/base/error.hpp"
#include "twistor/base/strings.hpp"
#include "twistor/model/lora_adapter.hpp"
#include "twistor/model/saved_model.hpp"
#include "twistor/twist/body.hpp"

namespace twistor::twist {

OwnBody load_body(const FormOptions& options, const std::filesystem::path& model,
                  const std::filesystem::path& adapter, model::TrainableOptions how) {
  if (!options.has_body()) return {};
  if (options.body == Body::lora) {
    how.lora = model::LoraOptions{options.lora_rank, options.lora_alpha};
    for (const std::string_view name : twistor::split(options.lora_targets, ','))
      if (const std::string_view target = trim(name); !target.empty()) how.lora->targets.emplace_back(target);
  }
  OwnBody body{model::load_trainable_decoder(model, how), {}};
  if (!options.adapter.empty()) body.adapter = model::read_lora_adapter(adapter, *body.decoder);
  return body;
}

std::string describe(const FormOptions& options, const model::TrainableDecoder& body) {
  std::int64_t n = 0;
  for (const model::LearnedTensor& tensor : body.tensors())
    n += static_cast<std::int64_t>(tensor.value.size());
  const std::string why_not = model::why_not_written(body);
  return fmt::format("twist's body: {}, {:.2f} M weights to learn{}",
                     options.body == Body::copy
                         ? std::string("a copy of the model")
                         : fmt::format("the model with additions of rank {} to {}", options.lora_rank,
                                       fmt::join(body.targets(), ", ")),
                     static_cast<double>(n) * 1e-6,
                     why_not.empty() ? "" : "; no files for other programs are written of it: " + why_not);
}

void start_from(std::span<const model::LearnedTensor> adapter, Trainable& twist) {
  for (const model::LearnedTensor& tensor : adapter) {
    const auto found =
        std::ranges::find(twist.parameters(), std::string(body_prefix) + tensor.name, &Parameter::name);
    TWISTOR_ASSERT(found != twist.parameters().end(), "an adapter that was read fits its body");
    found->value = tensor.value;
  }
  twist.refresh();
}

void write_body(const std::filesystem::path& output, const model::TrainableDecoder* body,
                const Trainable& twist) {
  if (body == nullptr || !model::why_not_written(*body).empty()) return;
  std::vector<std::span<const float>> values;
  for (const Parameter& p : twist.parameters())
    if (p.name.starts_with(body_prefix)) values.emplace_back(p.value);
  if (body->lora() == nullptr) {
    if (twist.is_normalised()) model::write_model_folder(output / "model", *body, values);
    return;
  }
  const std::filesystem::path folder = output / "adapter";
  const model::AdapterFiles files = model::lora_adapter_files(*body, values);
  constexpr const char* doing = "writing the adapter";
  std::error_code failure;
  std::filesystem::create_directories(folder, failure);
  TWISTOR_CHECK(!failure, ErrorKind::io, doing, failure.message(), "choose another run.output");
  write_file_atomically(folder / "adapter_model.safetensors", files.weights, doing);
  write_file_atomically(folder / "adapter_config.json", files.config, doing);
}

}  // namespace twistor::twist
