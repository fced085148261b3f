// SPDX-License-Identifier: Apache-2.0
// Files of a run in people's words.
#include "twistor/report/describe.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <type_traits>
#include <variant>

#include "describe_run.hpp"
#include "twistor/base/error.hpp"
#include "twistor/store/archive.hpp"
#include "twistor/store/checkpoint.hpp"
#include "twistor/store/exact_samples.hpp"
#include "twistor/store/results.hpp"

namespace twistor::report {
namespace {

namespace fs = std::filesystem;

template <class Values>
std::string describe_values(std::string_view title, const Values& values) {
  if (values.empty()) return {};
  std::string out = fmt::format("{}:\n", title);
  for (const auto& [name, value] : values) out += fmt::format("  {} = {}\n", name, value);
  return out;
}

std::string describe_config(std::string_view text) {
  std::string out = "configuration:\n";
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    out += fmt::format("{}{}\n", line.empty() ? "" : "  ", line);
  }
  return out;
}

std::string describe_checkpoint(store::Archive archive) {
  const store::Checkpoint checkpoint = store::checkpoint_from(std::move(archive));
  std::size_t n_parameters = 0;
  for (const auto& [name, array] : checkpoint.parameters) n_parameters += array.values.size();
  const std::string& exact_samples = checkpoint.exact_samples_path;
  std::string out =
      fmt::format("a twist after {} updates, with all that training needs to go on\n", checkpoint.update);
  out += fmt::format("twist: {}, {} parameters in {} arrays\n", checkpoint.twist_form, n_parameters,
                     checkpoint.parameters.size());
  out += fmt::format("parameters sha256: {}\n", store::parameters_sha256(checkpoint));
  out += fmt::format("model sha256: {}\n", checkpoint.model_fingerprint);
  out += fmt::format("objective: {}\nseed: {}\n", checkpoint.objective, checkpoint.seed);
  out += fmt::format("exact samples: {}\n", exact_samples.empty() ? "none" : exact_samples);
  return out + describe_values("numbers", checkpoint.numbers) + describe_config(checkpoint.config_text);
}

std::string describe_exact_samples(const fs::path& path) {
  const store::ExactSamples samples = store::load_exact_samples(path);
  std::string out = fmt::format("{} exact samples of a target, {} tokens each, after a prompt of {} tokens\n",
                                samples.n(), samples.length, samples.prompt.size());
  out += fmt::format("made by: {}, from {} sequences of the language model\n", samples.how, samples.n_draws);
  out += fmt::format("potential: {}\n", samples.potential);
  if (samples.has_observations()) {
    out += fmt::format("observations: {} tokens each\n", samples.observations.shape.at(1));
  }
  const std::string log_z = samples.is_log_z_known() ? fmt::format("{}", samples.log_z) : "unknown";
  out += fmt::format("exact log Z: {}\nprompt ids: {}\n", log_z, fmt::join(samples.prompt, ", "));
  return out + fmt::format("model sha256: {}\n", samples.model_fingerprint);
}

std::string describe_dataset(const store::Dataset& dataset) {
  return std::visit(
      [](const auto& array) -> std::string {
        if constexpr (std::is_same_v<std::decay_t<decltype(array)>, std::string>) {
          return fmt::format("text of {} bytes", array.size());
        } else {
          return fmt::format("({})", fmt::join(array.shape, ", "));
        }
      },
      dataset);
}

std::string describe_results(const fs::path& path) {
  const store::Results results = store::load_results(path);
  std::string out = "what a run found out\n";
  out += describe_values("numbers", results.numbers) + describe_values("counters", results.counters);
  if (!results.arrays.empty()) out += "arrays:\n";
  for (const auto& [name, dataset] : results.arrays) {
    out += fmt::format("  {}: {}\n", name, describe_dataset(dataset));
  }
  return out + describe_config(results.config_text);
}

}  // namespace

std::string describe(const fs::path& path) {
  TWISTOR_CHECK(fs::exists(path), ErrorKind::no_input, fmt::format("looking at {}", path.string()),
                "there is no such file or folder");
  if (fs::is_directory(path)) return describe_run_folder(path);
  if (auto text = describe_text_file(path)) return *text;
  store::Archive archive = store::read_archive(path, "");
  const std::string kind = archive.kind;
  const std::string head = fmt::format("{} written by {}\n", kind, archive.created_by);
  if (kind == "checkpoint") return head + describe_checkpoint(std::move(archive));
  if (kind == "exact-samples") return head + describe_exact_samples(path);
  if (kind == "results") return head + describe_results(path);
  throw Error(ErrorKind::data, fmt::format("looking at {}", path.string()),
              fmt::format("expected a checkpoint, exact-samples or results, got '{}'", kind),
              "was it written by a newer twistor?");
}

}  // namespace twistor::report
