// SPDX-License-Identifier: Apache-2.0
// BERT, RoBERTa, DistilBERT and DeBERTa as a table: keys of config.json, names of tensors, and the head.
#include "encoder_families.hpp"

#include <fmt/format.h>

#include <array>
#include <nlohmann/json.hpp>

#include "families.hpp"
#include "tensor_search.hpp"
#include "twistor/base/error.hpp"
#include "twistor/format/json_file.hpp"

namespace twistor::model {
namespace {

using format::JsonView;

/// Defaults are BERT's.
struct EncoderFamily {
  std::string_view name = "BERT";
  std::string_view model_type = "bert";  // config.json: "model_type"
  std::string_view prefix = "bert.";  // before the encoder's tensors where a task's head is in the file too
  // Keys of config.json.
  std::string_view width = "hidden_size", layers = "num_hidden_layers", heads = "num_attention_heads",
                   feed_forward = "intermediate_size", activation = "hidden_act";
  bool has_types = true, has_norm_eps = true, has_padding_offset = false;
  bool is_disentangled = false;  ///< DeBERTa: see read_deberta()
  double norm_eps = 1e-12;       ///< where config.json names none
  // Tensors of a layer, after "<layer>.<i>.".
  std::string_view layer = "encoder.layer", query = "attention.self.query", key = "attention.self.key",
                   value = "attention.self.value", attention_out = "attention.output.dense",
                   attention_norm = "attention.output.LayerNorm", up = "intermediate.dense",
                   down = "output.dense", output_norm = "output.LayerNorm";
  // The head of a sequence classifier.
  std::string_view dense = "bert.pooler.dense", out = "classifier";
  ActivationKind head_activation = ActivationKind::tanh;
  std::string_view head_activation_key = "";  ///< of config.json, which may name another; none: it may not
};

constexpr std::array encoder_families{
    EncoderFamily{},
    EncoderFamily{.name = "RoBERTa",
                  .model_type = "roberta",
                  .prefix = "roberta.",
                  .has_padding_offset = true,
                  .dense = "classifier.dense",
                  .out = "classifier.out_proj"},
    EncoderFamily{.name = "DistilBERT",
                  .model_type = "distilbert",
                  .prefix = "distilbert.",
                  .width = "dim",
                  .layers = "n_layers",
                  .heads = "n_heads",
                  .feed_forward = "hidden_dim",
                  .activation = "activation",
                  .has_types = false,
                  .has_norm_eps = false,
                  .layer = "transformer.layer",
                  .query = "attention.q_lin",
                  .key = "attention.k_lin",
                  .value = "attention.v_lin",
                  .attention_out = "attention.out_lin",
                  .attention_norm = "sa_layer_norm",
                  .up = "ffn.lin1",
                  .down = "ffn.lin2",
                  .output_norm = "output_layer_norm",
                  .dense = "pre_classifier",
                  .head_activation = ActivationKind::relu},
    EncoderFamily{.name = "DeBERTa",
                  .model_type = "deberta-v2",
                  .prefix = "deberta.",
                  .is_disentangled = true,
                  .norm_eps = 1e-7,
                  .query = "attention.self.query_proj",
                  .key = "attention.self.key_proj",
                  .value = "attention.self.value_proj",
                  .dense = "pooler.dense",
                  .head_activation = ActivationKind::gelu_erf,
                  .head_activation_key = "pooler_hidden_act"},
};

struct EncoderActivation {
  std::string_view name;
  ActivationKind kind;
};
constexpr std::array encoder_activations{EncoderActivation{"gelu", ActivationKind::gelu_erf},
                                         EncoderActivation{"gelu_new", ActivationKind::gelu_tanh},
                                         EncoderActivation{"gelu_pytorch_tanh", ActivationKind::gelu_tanh},
                                         EncoderActivation{"relu", ActivationKind::relu}};

template <class Table, class Name>
std::string names_of(const Table& table, Name name) {
  std::string out;
  for (const auto& row : table) out += (out.empty() ? "" : ", ") + std::string(row.*name);
  return out;
}

const EncoderFamily& find_family(const format::JsonView& config) {
  const format::JsonView type = config.at("model_type");
  for (const EncoderFamily& family : encoder_families)
    if (family.model_type == type.string()) return family;
  type.fail("the encoder family \"" + type.string() + "\" is not supported",
            "supported: " + names_of(encoder_families, &EncoderFamily::model_type));
}

ActivationKind read_activation(const format::JsonView& name) {
  for (const EncoderActivation& activation : encoder_activations)
    if (activation.name == name.string()) return activation.kind;
  name.fail("the activation \"" + name.string() + "\" is not supported",
            "supported: " + names_of(encoder_activations, &EncoderActivation::name));
}

/// Keys that would change the outputs in ways that are not implemented.
void refuse_unsupported(const format::JsonView& config) {
  if (const auto kind = config.find("position_embedding_type"); kind && kind->string() != "absolute")
    kind->fail("positions of the kind \"" + kind->string() + "\" are not supported", "supported: absolute");
  for (const std::string_view flag : {"is_decoder", "add_cross_attention"})
    if (const auto value = config.find(flag); value && value->boolean())
      value->fail("the model is a decoder, expected an encoder",
                  "a decoder is given as model.path, not to a potential");
  if (const auto quantised = config.find("quantization_config"))
    quantised->fail("quantised weights are not supported here", "give the folder of the original weights");
}

EncoderTraits read_traits(const format::JsonView& config, const EncoderFamily& family) {
  refuse_unsupported(config);
  constexpr std::int64_t most = 1 << 20;
  EncoderTraits t;
  t.family = family.name;
  t.width = config.at(family.width).integer(1, most);
  t.n_layers = config.at(family.layers).integer(1, 1000);
  const format::JsonView heads = config.at(family.heads);
  t.n_heads = heads.integer(1, t.width);
  if (t.width % t.n_heads != 0)
    heads.fail(fmt::format("the width {} is no multiple of {} heads", t.width, t.n_heads));
  t.feed_forward = config.at(family.feed_forward).integer(1, most);
  t.vocab_size = config.at("vocab_size").integer(1, 1 << 24);
  const format::JsonView positions = config.at("max_position_embeddings");
  t.n_positions = positions.integer(1, 1 << 24);
  if (family.has_types) {
    const auto types = config.find("type_vocab_size");
    if (!types && !family.is_disentangled) (void)config.at("type_vocab_size");
    if (types) t.n_types = types->integer(0, most);
  }
  if (family.has_padding_offset) t.padding_id = config.at("pad_token_id").integer(0, t.vocab_size - 1);
  if (t.max_tokens() < 1)
    positions.fail(
        fmt::format("{} positions leave none after the padding's, {}", t.n_positions, t.padding_id));
  t.norm_eps = family.norm_eps;
  const auto eps = config.find("layer_norm_eps");
  if (eps && family.has_norm_eps) t.norm_eps = eps->number();
  t.activation = read_activation(config.at(family.activation));
  if (family.is_disentangled) read_deberta(config, t);
  return t;
}

/// Linear layers and norms by their names.
struct Parts {
  const format::WeightFile& file;
  TensorSearch& tensors;

  MatrixSource::Part linear(const std::string& name, std::int64_t n, std::int64_t k) const {
    return {tensors.need(name + ".weight", {n, k}), tensors.need(name + ".bias", {n})};
  }
  NormSource norm(const std::string& name, std::int64_t d) const {
    const bool is_old = file.find(name + ".gamma") != nullptr;  // as TensorFlow called them
    return {tensors.need(name + (is_old ? ".gamma" : ".weight"), {d}),
            tensors.need(name + (is_old ? ".beta" : ".bias"), {d})};
  }
};

/// A row of its matrix is, for each input, that input's weights at all tokens of the kernel, as it is stored.
void find_convolution(EncoderSource& source, const std::string& at, const Parts& parts) {
  const std::int64_t d = source.traits.width, k = source.traits.convolution.kernel_size;
  source.convolution_norm = parts.norm(at + "LayerNorm", d);
  const format::TensorInfo* const stored = parts.tensors.need(at + "conv.weight", {d, d, k});
  const format::TensorInfo* const bias = parts.tensors.need(at + "conv.bias", {d});
  if (stored == nullptr) return;  // finish() says so
  format::TensorInfo matrix = *stored;
  matrix.shape = {d, d * k};
  source.convolution_matrix = std::make_shared<const format::TensorInfo>(std::move(matrix));
  source.convolution.parts = {{source.convolution_matrix.get(), bias}};
}

EncoderSource find_encoder(const format::JsonView& config, const EncoderFamily& family,
                           std::shared_ptr<const format::WeightFile> file, TensorSearch& tensors) {
  EncoderSource s;
  s.traits = read_traits(config, family);
  const EncoderTraits& t = s.traits;
  const std::int64_t d = t.width, f = t.feed_forward;
  const std::string first = "embeddings.word_embeddings.weight";
  // Files of the encoder alone leave the prefix out.
  const std::string prefix(file->find(first) != nullptr ? "" : family.prefix);
  s.embedding = tensors.need(prefix + first, {t.vocab_size, d});
  if (t.has_positions)
    s.positions = tensors.need(prefix + "embeddings.position_embeddings.weight", {t.n_positions, d});
  if (t.n_types > 0)
    s.types = tensors.need(prefix + "embeddings.token_type_embeddings.weight", {t.n_types, d});
  const Parts parts{*file, tensors};
  s.embedding_norm = parts.norm(prefix + "embeddings.LayerNorm", d);
  if (t.distances.span > 0) {
    s.distances = tensors.need(prefix + "encoder.rel_embeddings.weight", {2 * t.distances.span, d});
    if (t.distances.is_normalised) s.distance_norm = parts.norm(prefix + "encoder.LayerNorm", d);
  }
  for (std::int64_t i = 0; i < t.n_layers; ++i) {
    const std::string at = fmt::format("{}{}.{}.", prefix, family.layer, i);
    const auto linear = [&](std::string_view name, std::int64_t n, std::int64_t k) {
      return parts.linear(at + std::string(name), n, k);
    };
    EncoderLayerSource& layer = s.layers.emplace_back();
    layer.qkv.parts = {linear(family.query, d, d), linear(family.key, d, d), linear(family.value, d, d)};
    layer.out.parts = {linear(family.attention_out, d, d)};
    layer.up.parts = {linear(family.up, f, d)};
    layer.down.parts = {linear(family.down, d, f)};
    layer.attention_norm = parts.norm(at + std::string(family.attention_norm), d);
    layer.output_norm = parts.norm(at + std::string(family.output_norm), d);
    if (t.distances.span == 0 || !t.distances.has_own_projections) continue;
    if (t.distances.meets_keys) layer.distance_keys.parts = {linear("attention.self.pos_key_proj", d, d)};
    if (t.distances.meets_queries)
      layer.distance_queries.parts = {linear("attention.self.pos_query_proj", d, d)};
  }
  if (t.convolution.kernel_size > 0) find_convolution(s, prefix + "encoder.conv.", parts);
  s.file = std::move(file);
  return s;
}

ActivationKind read_head_activation(const format::JsonView& config, const EncoderFamily& family) {
  const auto name =
      family.head_activation_key.empty() ? std::nullopt : config.find(family.head_activation_key);
  if (!name) return family.head_activation;
  return read_encoder_activation(*name, true);
}

/// "multi_label_classification": each class has a sigmoid of its own. A regression's one output is a score
/// as well.
bool read_is_multi_label(const format::JsonView& config, std::size_t n_labels) {
  const auto problem = config.find("problem_type");
  if (!problem) return false;
  if (problem->string() == "multi_label_classification") return true;
  const bool is_regression = problem->string() == "regression";
  if (problem->string() != "single_label_classification" && !(is_regression && n_labels == 1))
    problem->fail(
        fmt::format("the problem \"{}\" with {} labels is not supported", problem->string(), n_labels),
        "supported: single_label_classification, multi_label_classification, regression with one");
  return false;
}

/// The two files of a folder.
struct Folder {
  explicit Folder(const std::filesystem::path& path)
      : config_file(path / "config.json"), weights(format::open_safetensors(path)) {}
  [[nodiscard]] std::string fingerprint() const { return fingerprint_of(*weights, config_file.text()); }
  format::JsonFile config_file;
  std::shared_ptr<const format::WeightFile> weights;
};

}  // namespace

ActivationKind read_encoder_activation(const format::JsonView& name, bool may_be_tanh) {
  return may_be_tanh && name.string() == "tanh" ? ActivationKind::tanh : read_activation(name);
}

std::vector<std::string> read_labels(const format::JsonView& config) {
  const auto number = config.find("num_labels");
  const auto names = config.find("id2label");
  constexpr std::int64_t most = 1 << 20;
  const std::int64_t n = names    ? static_cast<std::int64_t>(names->object().size())
                         : number ? number->integer(1, most)
                                  : 2;
  if (names && number && number->integer(1, most) != n)
    number->fail(fmt::format("expected {}, as many as id2label has, got {}", n, number->integer(1, most)));
  std::vector<std::string> labels;
  for (std::int64_t i = 0; i < n; ++i)
    labels.push_back(names ? names->at(std::to_string(i)).string() : "LABEL_" + std::to_string(i));
  if (labels.empty()) names->fail("expected at least one label");
  return labels;
}

EncoderSource open_encoder(const std::filesystem::path& path) {
  const Folder folder(path);
  const format::JsonView config = folder.config_file.view();
  TensorSearch tensors(*folder.weights);
  EncoderSource source = find_encoder(config, find_family(config), folder.weights, tensors);
  tensors.finish();
  source.fingerprint = folder.fingerprint();
  return source;
}

ClassifierSource open_classifier(const std::filesystem::path& path) {
  const Folder folder(path);
  const format::JsonView config = folder.config_file.view();
  const EncoderFamily& family = find_family(config);
  TensorSearch tensors(*folder.weights);
  ClassifierSource source;
  source.encoder = find_encoder(config, family, folder.weights, tensors);
  source.labels = read_labels(config);
  source.is_multi_label = read_is_multi_label(config, source.labels.size());
  const std::int64_t d = source.encoder.traits.width;
  const Parts parts{*folder.weights, tensors};
  source.head.dense.parts = {parts.linear(std::string(family.dense), d, d)};
  source.head.out.parts = {
      parts.linear(std::string(family.out), static_cast<std::int64_t>(source.labels.size()), d)};
  source.head.activation = read_head_activation(config, family);
  tensors.finish();
  source.encoder.fingerprint = folder.fingerprint();
  return source;
}

}  // namespace twistor::model
