// SPDX-License-Identifier: Apache-2.0
// Summaries, metrics, samples and the folder that holds them, in people's words.
#include "describe_run.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <string_view>
#include <vector>

#include "json_value.hpp"
#include "run_json.hpp"
#include "twistor/base/error.hpp"
#include "twistor/report/csv.hpp"
#include "twistor/report/describe.hpp"

namespace twistor::report {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr std::string_view run_files[] = {
    "summary.json",           "metrics.jsonl", "checkpoint.h5", "checkpoint.previous.h5",
    "checkpoint.replaced.h5", "best.h5",       "exact.h5",      "results.h5",
    "prompts.jsonl",          "prompts.csv",   "sweep.jsonl",   "sweep.csv",
    "samples.jsonl",          "samples.csv"};

std::string size_of(const fs::path& path) {
  return bytes_text(static_cast<double>(fs::file_size(path)));
}

/// "mean ± se" of an estimate; "unknown" where it could not be made.
std::string estimate(const Json& value) {
  const double mean = number_of(at(value, {"mean"})), se = number_of(at(value, {"se"}));
  if (std::isnan(mean)) return "unknown";
  return std::isnan(se) ? fmt::format("{:.4f}", mean) : fmt::format("{:.4f} ± {:.4f}", mean, se);
}

std::string describe_summary(const Json& json) {
  std::string out = "summary of a run\n";
  if (at(json, {"twist"}) == "computed")
    out += "twist: computed\n";
  else
    out += fmt::format("updates: {}\n", at(json, {"updates"}).dump());
  if (const double exact = number_of(at(json, {"log_z", "exact"})); !std::isnan(exact))
    out += fmt::format("log Z, exact: {:.6f}\n", exact);
  if (const Json& z = at(json, {"log_z", "estimate"}); z.is_object())
    out += fmt::format("log Z: {} ({})\n", estimate(Json{{"mean", at(z, {"value"})}, {"se", at(z, {"se"})}}),
                       at(z, {"method"}).is_string() ? at(z, {"method"}).get<std::string>() : "unknown");
  for (const auto& [key, name] : {std::pair{"smc", "SMC"}, std::pair{"sis", "SIS"}})
    for (const char* side : {"lower", "upper"})
      out += fmt::format("log Z, {} {} bound: {}\n", name, side,
                         estimate(at(json, {"log_z", fmt::format("{}_{}", key, side).c_str()})));
  out += fmt::format("KL(q || sigma): {}\n", estimate(at(json, {"kl", "q_sigma"})));
  out += fmt::format("KL(sigma || q): {}\n", estimate(at(json, {"kl", "sigma_q"})));
  out += fmt::format("ESS at the end: {:.1f} of {}\n", number_of(at(json, {"ess", "final"})),
                     std::isnan(particles_of(json)) ? "null" : fmt::format("{}", particles_of(json)));
  if (at(json, {"before"}).is_object())
    out += fmt::format("before learning: {}\n", verdict_of(at(json, {"before"})));
  if (at(json, {"ranks"}).is_number()) out += fmt::format("ranks: {}\n", at(json, {"ranks"}).dump());
  return out + fmt::format("verdict: {}\n", verdict_of(json));
}

std::string bad_lines(const Lines& lines) {
  return lines.n_bad == 0 ? std::string{} : fmt::format("lines that are no JSON: {}\n", lines.n_bad);
}

std::string describe_metrics(const Lines& lines) {
  const Json* last = nullptr;
  std::int64_t n_updates = 0;
  for (const Json& line : lines.objects) {
    if (line.contains("event")) continue;
    ++n_updates;
    last = &line;
  }
  const auto n = static_cast<std::int64_t>(lines.objects.size());
  std::string out =
      fmt::format("metrics of a run, {} lines\nupdates: {}\nevents: {}\n", n, n_updates, n - n_updates);
  if (last != nullptr)
    out += fmt::format("last update: {}, loss {:.4f}, log Z_hat {:.4f}\n", at(*last, {"update"}).dump(),
                       number_of(at(*last, {"loss"})), number_of(at(*last, {"log_z_hat"})));
  return out + bad_lines(lines);
}

std::string describe_samples(const Lines& lines) {
  std::set<std::string> texts;
  double sum = 0, total = 0;
  for (const Json& line : lines.objects) {
    texts.insert(at(line, {line.contains("text") ? "text" : "ids"}).dump());
    const double weight = number_of(at(line, {"weight"}));
    if (weight > 0) sum += weight * number_of(at(line, {"log_phi"}));
    total += weight;
  }
  std::string out = fmt::format("{} sampled sequences, {} distinct\n", lines.objects.size(), texts.size());
  out += fmt::format("mean log phi, weighted: {:.4f}\n", sum / total);
  if (const Json& last = at(lines.objects.back(), {"prompt_index"}); last.is_number_integer())
    return out + fmt::format("prompts: {}\n", last.get<std::int64_t>() + 1) + bad_lines(lines);
  const Json& prompt = at(lines.objects.front(), {"prompt"});
  return out + fmt::format("prompt: {}\n", prompt.dump()) + bad_lines(lines);
}

std::string what_rows_are(bool is_grid, std::size_t n) {
  return is_grid ? fmt::format("at {} pairs of K and seed", n) : fmt::format("of {} prompts", n);
}

/// A line for each prompt, or K and seed; each sampler an object with "kl".
std::string describe_rows(const Lines& lines) {
  std::string out = fmt::format("evaluations {}\n",
                                what_rows_are(lines.objects.front().contains("seed"), lines.objects.size()));
  for (const auto& [name, value] : lines.objects.front().items()) {
    if (!value.is_object() || !value.contains("kl")) continue;
    double sum = 0;
    std::size_t n = 0;
    for (const Json& line : lines.objects)
      if (const double kl = number_of(at(line, {name.c_str(), "kl", "q_sigma", "mean"})); !std::isnan(kl)) {
        sum += kl;
        ++n;
      }
    if (n > 0)
      out += fmt::format("{}: KL(q || sigma) {:.4f} on average over {}\n", name, sum / static_cast<double>(n),
                         n);
  }
  return out + bad_lines(lines);
}

std::string describe_csv(const std::string& text) {
  const std::string header = text.substr(0, text.find('\n'));
  const bool is_grid = header.starts_with("particles,");
  if (is_grid || header.starts_with("index,"))
    return fmt::format("evaluations {}\ncolumns: {}\n",
                       what_rows_are(is_grid, static_cast<std::size_t>(count_csv_records(text) - 1)), header);
  return fmt::format("{} sampled sequences\ncolumns: {}\n", count_csv_records(text) - 1, header);
}

std::string first_line(const std::string& text) {
  return text.substr(0, text.find('\n'));
}

}  // namespace

bool is_run_folder(const fs::path& folder) {
  return !fs::exists(folder / "config.json") &&
         std::ranges::any_of(run_files, [&](std::string_view name) { return fs::exists(folder / name); });
}

std::string describe_run_folder(const fs::path& folder) {
  std::string out = "folder of a run\n", verdict;
  for (const std::string_view name : run_files) {
    const fs::path file = folder / name;
    if (!fs::exists(file)) continue;
    std::string what;
    try {
      const std::string text = describe(file);
      what = first_line(text);
      // Checkpoints and the like open with who wrote them; the next line says what they are.
      if (file.extension() == ".h5") what = first_line(text.substr(std::min(text.size(), what.size() + 1)));
      if (const std::size_t begin = text.find("verdict: "); name == "summary.json" && begin < text.size())
        verdict = text.substr(begin);
    } catch (const Error& error) {
      what = error.what();
    }
    out += fmt::format("  {:<22}  {:>9}  {}\n", name, size_of(file), what);
  }
  return out + (verdict.empty() ? "verdict: none yet, there is no summary.json\n" : verdict);
}

std::optional<std::string> describe_text_file(const fs::path& path) {
  if (path.filename() == "metrics.jsonl" && fs::file_size(path) == 0) return describe_metrics({});
  const bool is_csv = path.extension() == ".csv";
  std::ifstream stream(path, std::ios::binary);
  if (!is_csv && stream.peek() != '{') return std::nullopt;
  const std::string text = contents_of(path);
  if (is_csv && first_line(text).find("log_phi") != std::string::npos) return describe_csv(text);
  const Json first = Json::parse(first_line(text), nullptr, false);
  if (first.is_object() && (first.contains("prompt_tokens") || first.contains("seed")))
    return describe_rows(read_lines(text));
  if (first.is_object() && first.contains("log_phi")) return describe_samples(read_lines(text));
  if (first.is_object() && first.contains("update")) return describe_metrics(read_lines(text));
  const Json whole = Json::parse(text, nullptr, false);
  TWISTOR_CHECK(whole.is_object() && whole.contains("log_z"), ErrorKind::data, "looking at " + path.string(),
                "expected a summary, metrics or samples of a run, got something else",
                "was the file cut short, or written by another program?");
  return describe_summary(whole);
}

}  // namespace twistor::report
