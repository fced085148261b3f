// SPDX-License-Identifier: Apache-2.0
// Reading files of a run's folder.
#include "run_json.hpp"

#include <fmt/format.h>

#include <fstream>
#include <sstream>

#include "json_value.hpp"
#include "twistor/base/error.hpp"
#include "twistor/format/json.hpp"

namespace twistor::report {

using Json = nlohmann::json;

std::string contents_of(const std::filesystem::path& path) {
  std::ifstream stream(path, std::ios::binary);
  std::ostringstream text;
  text << stream.rdbuf();
  TWISTOR_CHECK(stream.good() || stream.eof(), ErrorKind::no_input, "reading " + path.string(),
                "the file cannot be read to its end");
  return std::move(text).str();
}

const Json& at(const Json& json, std::initializer_list<const char*> way) {
  static const Json nothing;
  const Json* place = &json;
  for (const char* name : way) {
    if (!place->is_object() || !place->contains(name)) return nothing;
    place = &(*place)[name];
  }
  return *place;
}

std::string text_of(const Json& value) {
  return value.is_string() ? value.get<std::string>() : value.dump();
}

std::string bytes_text(double bytes) {
  if (bytes < 1e3) return fmt::format("{:.0f} B", bytes);
  if (bytes < 1e6) return fmt::format("{:.1f} kB", bytes / 1e3);
  return bytes < 1e9 ? fmt::format("{:.1f} MB", bytes / 1e6) : fmt::format("{:.2f} GB", bytes / 1e9);
}

Json read_summary_json(const std::filesystem::path& folder) {
  const std::filesystem::path file = folder / "summary.json";
  const std::string doing = "reading " + file.string();
  TWISTOR_CHECK(std::filesystem::exists(file), ErrorKind::no_input, doing, "there is no such file",
                "name folders of runs that have ended (run.output)");
  Json summary = format::parse_json(contents_of(file), doing);
  TWISTOR_CHECK(summary.is_object(), ErrorKind::data, doing, "it is no summary of a run");
  return summary;
}

Lines read_lines(const std::string& text) {
  Lines out;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) {
    Json json = Json::parse(line, nullptr, false);
    if (json.is_object())
      out.objects.push_back(std::move(json));
    else
      ++out.n_bad;
  }
  return out;
}

Bounds best_bounds(const Json& summary) {
  const auto pair = [&](const std::string& kind) {
    const Json& lower = at(summary, {"log_z", (kind + "_lower").c_str()});
    const Json& upper = at(summary, {"log_z", (kind + "_upper").c_str()});
    return Bounds{number_of(at(lower, {"mean"})), number_of(at(upper, {"mean"})),
                  std::hypot(number_of(at(lower, {"se"})), number_of(at(upper, {"se"})))};
  };
  const Bounds smc = pair("smc"), sis = pair("sis");
  if (std::isnan(smc.gap()) && std::isnan(sis.gap())) return sis.low > smc.low ? sis : smc;
  return sis.width() < smc.width() || std::isnan(smc.gap()) ? sis : smc;
}

namespace {

/// The one that all columns of the run share; of an older file the middle of the bounds.
std::string log_z_of_run(const Json& summary, const Bounds& bounds) {
  const Json& estimate = at(summary, {"log_z", "estimate"});
  const double value = number_of(at(estimate, {"value"})), se = number_of(at(estimate, {"se"}));
  if (std::isnan(value))
    return fmt::format("{:.4f}", std::isnan(bounds.high) ? bounds.low : 0.5 * (bounds.low + bounds.high));
  return se > 0 ? fmt::format("{:.4f} ± {:.4f}", value, se) : fmt::format("{:.4f}", value);
}

}  // namespace

std::string verdict_of(const Json& summary) {
  if (const Json& verdict = at(summary, {"verdict"}); verdict.is_string()) return verdict.get<std::string>();
  constexpr double tolerated = 3;  // standard errors
  const Bounds b = best_bounds(summary);
  if (std::isnan(b.low)) return "no bounds of log Z";
  if (std::isnan(b.high))
    return fmt::format("log Z is about {}, at least {:.4f} on average over runs; there is no upper bound",
                       log_z_of_run(summary, b), b.low);
  if (std::isinf(b.low) && b.low < 0)
    return fmt::format(
        "log Z is at most {:.4f}; there is no lower bound, because runs found no text of the target", b.high);
  if (std::abs(b.gap()) <= tolerated * b.se)
    return fmt::format("log Z is {}: the bounds {:.4f} and {:.4f} meet within their errors",
                       log_z_of_run(summary, b), b.low, b.high);
  if (b.gap() < 0)
    return fmt::format(
        "the bounds of log Z, {:.4f} and {:.4f}, cross beyond their errors: raise evaluate.repeats", b.low,
        b.high);
  return fmt::format("log Z lies between {:.4f} and {:.4f}, {:.4f} nats apart", b.low, b.high, b.gap());
}

double particles_of(const Json& summary) {
  const Json& means = at(summary, {"sweep", "means"});
  if (means.is_array() && !means.empty()) return number_of(at(means.back(), {"particles"}));
  return number_of(at(summary, {"config", "smc", "particles"}));
}

}  // namespace twistor::report
