// SPDX-License-Identifier: Apache-2.0
// Composing report.html from the files of a run.
#include "twistor/report/html_report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "html_parts.hpp"
#include "html_text.hpp"
#include "json_value.hpp"
#include "run_json.hpp"
#include "twistor/base/error.hpp"
#include "twistor/base/log.hpp"
#include "twistor/report/json_line.hpp"
#include "twistor/store/results.hpp"

namespace twistor::report {
namespace {

using Json = nlohmann::json;

std::string config_text(const Json& summary, const char* section, const char* key) {
  const Json& value = at(summary, {"config", section, key});
  return value.is_null() ? std::string{} : text_of(value);
}

std::string what_was_asked(const Json& summary) {
  std::string out;
  const auto add = [&](const char* name, const std::string& value) {
    if (!value.empty() && value != "[]") out += fmt::format("<dt>{}</dt><dd>{}</dd>\n", name, html(value));
  };
  const std::string prompt = config_text(summary, "prompt", "text");
  add("model", config_text(summary, "model", "path"));
  add("prompt", prompt);
  add("messages", config_text(summary, "prompt", "messages"));
  add("prompts", config_text(summary, "prompt", "file"));
  if (const Json& ids = at(summary, {"prompt", "ids"}); prompt.empty() && ids.is_array())
    add("prompt, as tokens", ids.dump());
  const Json& in_words = at(summary, {"target"});
  add("potential", in_words.is_string() ? text_of(in_words) : config_text(summary, "target", "potential"));
  for (const char* key : {"text", "words", "ids", "pattern", "class", "question", "classifier", "path"})
    add(key, config_text(summary, "target", key));
  if (number_of(at(summary, {"config", "target", "beta"})) != 1)
    add("beta", config_text(summary, "target", "beta"));
  add("tokens to generate, T", config_text(summary, "target", "length"));
  add("particles, K", config_text(summary, "smc", "particles"));
  const bool is_policy = config_text(summary, "smc", "proposal") == "policy";
  if (!is_policy) add("twist", config_text(summary, "twist", "form"));
  if (number_of(at(summary, {"updates"})) > 0) add("learned by", config_text(summary, "train", "objective"));
  if (const Json& why = at(summary, {"positives"}); why.is_string()) add("positives", text_of(why));
  return "<dl>\n" + out + "</dl>\n";
}

/// What `sample` drew: equal texts once, those of most weight first.
std::string texts(const std::filesystem::path& file) {
  constexpr std::size_t most = 20;
  if (!std::filesystem::exists(file)) return {};
  struct Text {
    Json line;
    std::size_t number = 0;  // of the line
    std::int64_t times = 0;
    double weight = 0;
  };
  std::vector<Text> distinct;
  std::map<std::string, std::size_t> place;
  std::int64_t n = 0;
  std::size_t number = 0;
  for (Json& line : read_lines(contents_of(file)).objects) {
    ++number;
    const std::string key =
        at(line, {"text"}).is_string() ? text_of(at(line, {"text"})) : at(line, {"ids"}).dump();
    const auto [found, is_new] = place.try_emplace(key, distinct.size());
    const Json& counted = at(line, {"count"});  // with sample.unique
    const std::int64_t times = counted.is_number_integer() ? counted.get<std::int64_t>() : 1;
    const double weight = number_of(at(line, {"weight"}));
    if (is_new) distinct.push_back({std::move(line), number});
    distinct[found->second].times += times;
    distinct[found->second].weight += weight;
    n += times;
  }
  std::ranges::stable_sort(distinct, std::greater<>{}, &Text::weight);
  std::vector<std::vector<std::string>> rows;
  for (const Text& text : distinct) {
    if (rows.size() == most) break;
    const Place line(text.line, fmt::format("{}:{}", file.filename().string(), text.number));
    const Json& words = *line.at({"text"});
    rows.push_back({html(words.is_string() ? text_of(words) : line.at({"ids"})->dump()),
                    fmt::format("{}", text.times), fmt::format("{:.4g}", text.weight),
                    html_number(line.at({"log_phi"})), html_number(line.at({"log_p0"}))});
  }
  if (rows.empty()) return {};
  return html_table({"text", "times", "weight", "log φ", "log p0"}, rows) +
         fmt::format("<p class=\"soft\">{} of {} distinct texts among the {} in {}.</p>\n", rows.size(),
                     distinct.size(), n, html(file.filename().string()));
}

/// Every value of the summary by the way to it, in full.
void flatten(const Json& json, const std::string& way, std::string& out) {
  if (json.is_object() || (json.is_array() && !json.empty() && way != "prompt.ids")) {
    std::size_t i = 0;
    for (const auto& [key, value] : json.items()) {
      const std::string name = json.is_object() ? key : std::to_string(i++);
      flatten(value, way.empty() ? name : way + "." + name, out);
    }
    return;
  }
  out += fmt::format("{} = {}\n", way, json.dump());
}

std::string all_numbers(const Json& summary) {
  std::string text;
  flatten(summary, "", text);
  return details("Every value of summary.json", fmt::format("<pre id=\"values\">{}</pre>\n", html(text)));
}

/// What the summary is too short for.
std::string of_results(const store::Results& results, const Json& summary) {
  const Json& length = at(summary, {"config", "target", "length"});
  const std::string charts =
      log_phi_chart(results) +
      calibration_chart(results, length.is_number_integer() ? length.get<std::int64_t>() : 0);
  return section("Potential and twist", side_by_side(charts)) + section("One sweep", sweep_picture(results));
}

class HtmlFile final : public Sink {
 public:
  explicit HtmlFile(std::filesystem::path folder) : folder_(std::move(folder)) {}
  void finished(const Run&) override { try_html_report(folder_); }

 private:
  std::filesystem::path folder_;
};

}  // namespace

std::string html_report(const std::filesystem::path& folder) {
  const Json summary = read_summary_json(folder);
  TWISTOR_CHECK(at(summary, {"log_z"}).is_object() && at(summary, {"config"}).is_object(), ErrorKind::data,
                "reading " + (folder / "summary.json").string(), "it is no summary of a run",
                "another version of twistor may have written it; run its command again");
  const std::string name = std::filesystem::absolute(folder).lexically_normal().filename().string();
  const std::string title = name.empty() ? folder.lexically_normal().parent_path().filename().string() : name;
  const Json& version = at(summary, {"versions", "twistor"});
  std::string body = fmt::format(
      "<h1>{}</h1>\n<p class=\"soft\">A run of twistor {} on {} rank{}; its last evaluation took {:.1f} "
      "s.</p>\n",
      html(title), version.is_string() ? html(text_of(version)) : "", at(summary, {"ranks"}).dump(),
      at(summary, {"ranks"}) == 1 ? "" : "s", number_of(at(summary, {"seconds"})));
  body += html_verdict(summary);
  body += section("What was asked", what_was_asked(summary));
  body += section("Evaluations", html_evaluations(summary));
  body += section("Several K and seeds", html_grid(summary));
  if (at(summary, {"prompts"}).is_number())
    body += section("Prompts", html_prompts(folder / "prompts.jsonl"));
  body += section("Learning", learning_charts(summary, folder / "metrics.jsonl"));
  body += section("Populations", population_charts(summary));
  body += section("Texts", texts(folder / "samples.jsonl"));
  if (const std::filesystem::path file = folder / "results.h5"; std::filesystem::exists(file))
    body += of_results(store::load_results(file), summary);
  body += section("Cost", html_cost(summary));
  body += section("All numbers", all_numbers(summary));
  return html_page(title + " – twistor", body);
}

std::filesystem::path write_html_report(const std::filesystem::path& folder) {
  const std::filesystem::path file = folder / "report.html";
  write_text_atomically(file.string(), html_report(folder));
  return file;
}

void try_html_report(const std::filesystem::path& folder) {
  try {
    write_html_report(folder);
  } catch (const std::exception& error) {
    log_warning(fmt::format("report.html was not made, all other files were: {}", error.what()));
  }
}

std::unique_ptr<Sink> html_file(const std::filesystem::path& folder) {
  return std::make_unique<HtmlFile>(folder);
}

}  // namespace twistor::report
