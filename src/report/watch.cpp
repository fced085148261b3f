// SPDX-License-Identifier: Apache-2.0
// Looking at a run while it goes on.
#include "twistor/report/watch.hpp"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <map>
#include <thread>

#include "course.hpp"
#include "json_value.hpp"
#include "run_json.hpp"
#include "twistor/base/error.hpp"
#include "twistor/base/folder_lock.hpp"
#include "twistor/estimate/evaluation.hpp"
#include "twistor/report/progress.hpp"

namespace twistor::report {
namespace {

using Json = nlohmann::json;

constexpr std::size_t name_width = 24, value_width = 20, most_heights = 48;

std::vector<double> heights_of(const Series& series) {
  std::vector<double> out;
  for (const auto& [x, y] : series.points) out.push_back(y);
  return out;
}

/// "name   value   ▁▂▃" in lines of that many characters.
std::string picture_line(std::string_view name, std::string_view value, const std::vector<double>& heights,
                         std::size_t columns) {
  const std::size_t used = name_width + value_width + 4;
  const std::size_t room = columns > used ? std::min(columns - used, most_heights) : 0;
  std::string line = fmt::format("{:<{}}  {:>{}}  {}", name.substr(0, name_width), name_width, value,
                                 value_width, sparkline(heights, room));
  line.erase(line.find_last_not_of(' ') + 1);
  return line + "\n";
}

/// What the objective watches, by the names of the last update.
std::vector<std::string> numbers_of(const Json& update) {
  std::vector<std::string> out{"loss", "log_z_hat"};
  for (const auto& [name, value] : update.items())
    if (name != "update" && name != "skipped" && name != "seconds" && name != "loss" && name != "log_z_hat")
      out.push_back(name);
  return out;
}

estimate::Evaluation evaluation_of(const Json& line) {
  std::map<std::string, double> numbers;
  for (const auto& [name, value] : line.items())
    if (name.starts_with("evaluation."))
      if (const double x = number_of(value); !std::isnan(x)) numbers[name] = x;
  return estimate::evaluation_from_numbers(numbers, "evaluation").value_or(estimate::Evaluation{});
}

std::string with_se(const estimate::Estimate& e) {
  return std::isnan(e.se) ? fmt::format("{:.4f}", e.mean) : fmt::format("{:.4f} ± {:.4f}", e.mean, e.se);
}

/// Modified last; the beginning of time if there is no such file.
std::filesystem::file_time_type time_of(const std::filesystem::path& file) {
  std::error_code failure;
  const auto time = std::filesystem::last_write_time(file, failure);
  return failure ? std::filesystem::file_time_type::min() : time;
}

/// Every line cut after so many characters.
std::string cut_lines(std::string_view text, std::size_t columns) {
  std::string out;
  std::size_t n = 0;
  for (const char c : text) {
    const bool begins_character = (static_cast<unsigned char>(c) & 0xC0) != 0x80;
    n = c == '\n' ? 0 : n + (begins_character ? 1 : 0);
    if (n <= columns) out += c;
  }
  return out;
}

std::size_t columns_of_terminal(int descriptor) {
  winsize size{};
  return ::ioctl(descriptor, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

void write_all(int descriptor, std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::write(descriptor, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) throw_io_error("showing a run", "cannot write", errno);
    text.remove_prefix(static_cast<std::size_t>(n));
  }
}

}  // namespace

std::string sparkline(const std::vector<double>& values, std::size_t width) {
  if (values.empty() || width == 0) return {};
  const std::size_t n = std::min(width, values.size());
  std::vector<double> means;
  for (std::size_t i = 0; i < n; ++i) {
    double sum = 0, count = 0;
    for (std::size_t j = i * values.size() / n; j < (i + 1) * values.size() / n; ++j)
      if (std::isfinite(values[j])) {
        sum += values[j];
        ++count;
      }
    means.push_back(count > 0 ? sum / count : estimate::nan);
  }
  double low = INFINITY, high = -INFINITY;
  for (const double x : means)
    if (std::isfinite(x)) {
      low = std::min(low, x);
      high = std::max(high, x);
    }
  constexpr const char* heights[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
  std::string out;
  for (const double x : means) {
    const double share = high > low ? (x - low) / (high - low) : 0.5;
    out += std::isfinite(x) ? heights[std::min(7, static_cast<int>(share * 8))] : " ";
  }
  return out;
}

struct RunWatch::State {
  std::filesystem::path folder;
  Course course;
  std::function<std::int64_t()> count_wanted;
  std::int64_t wanted = 0;

  /// Whether it is another number than before.
  bool count() {
    const std::int64_t before = wanted;
    if (count_wanted) wanted = count_wanted();
    return wanted != before;
  }

  [[nodiscard]] const Json* last_update() const {
    return course.updates().empty() ? nullptr : &course.updates().back();
  }
  /// Of the last updates, where an update's seconds say what the next ones will take.
  [[nodiscard]] double seconds_each() const {
    const std::vector<Json>& all = course.updates();
    const std::size_t n = std::min<std::size_t>(all.size(), 50);
    double sum = 0;
    for (std::size_t i = all.size() - n; i < all.size(); ++i) sum += number_of(at(all[i], {"seconds"}));
    return n > 0 ? sum / static_cast<double>(n) : estimate::nan;
  }
};

RunWatch::RunWatch(std::filesystem::path folder, std::function<std::int64_t()> wanted) {
  TWISTOR_CHECK(std::filesystem::is_directory(folder), ErrorKind::no_input, "watching " + folder.string(),
                "there is no such folder", "name the folder of a run (run.output)");
  const std::filesystem::path metrics = folder / "metrics.jsonl";
  state_ = std::make_unique<State>(State{std::move(folder), Course(metrics), std::move(wanted)});
  state_->count();
}

RunWatch::~RunWatch() = default;

bool RunWatch::look() {
  const bool is_new = state_->course.read_on();
  return state_->count() || is_new;
}

std::int64_t RunWatch::updates() const {
  const Json* last = state_->last_update();
  return last != nullptr ? static_cast<std::int64_t>(number_of(at(*last, {"update"}))) : 0;
}

std::int64_t RunWatch::wanted() const {
  return state_->wanted;
}

bool RunWatch::is_finished() const {
  const std::filesystem::path summary = state_->folder / "summary.json";
  return std::filesystem::exists(summary) && time_of(summary) >= time_of(state_->folder / "metrics.jsonl");
}

std::string RunWatch::writer() const {
  return FolderLock::holder_of(state_->folder);
}

std::string RunWatch::line() const {
  const Json* last = state_->last_update();
  std::string out = last == nullptr ? std::string("no update yet") : fmt::format("update {}", updates());
  if (last != nullptr && wanted() > 0) out += fmt::format(" of {}", wanted());
  if (last != nullptr)
    out += fmt::format("  loss {:.4f}  log Z {:.3f}", number_of(at(*last, {"loss"})),
                       number_of(at(*last, {"log_z_hat"})));
  if (!state_->course.evaluations().empty()) {
    const estimate::Evaluation e = evaluation_of(state_->course.evaluations().back());
    for (const estimate::NamedEstimate& estimate : e.estimates)
      if (estimate.name.starts_with("log_z.smc_") && estimate.is_made() && estimate.row > 0)
        out += fmt::format("  {} {:.4f}", estimate.title, estimate.value.mean);
  }
  return out;
}

std::string RunWatch::picture(std::size_t columns) const {
  const Course& course = state_->course;
  const Json* last = state_->last_update();
  std::string head = state_->folder.string() + ": ";
  if (last == nullptr) {
    head += "no update yet";
  } else {
    head += fmt::format("update {}", updates());
    if (wanted() > 0) head += fmt::format(" of {}", wanted());
    head += fmt::format(", {:.3g} s each", state_->seconds_each());
    const bool goes_on = !writer().empty() && wanted() > updates();
    if (goes_on)
      head += ", ETA " + duration_text(static_cast<double>(wanted() - updates()) * state_->seconds_each());
  }
  std::string out = head + "\n";
  if (is_finished() && writer().empty())
    out += "finished; report.html has the result\n";
  else
    out += writer().empty() ? "nobody writes here now; the same command resumes the run\n" : writer() + "\n";
  if (last != nullptr) {
    out += "\n";
    for (const std::string& name : numbers_of(*last))
      out += picture_line(name, fmt::format("{:.4f}", number_of(at(*last, {name.c_str()}))),
                          heights_of(course.updated(name, name.c_str(), most_heights)), columns);
  }
  if (course.evaluations().empty()) return cut_lines(out, columns);
  const estimate::Evaluation e = evaluation_of(course.evaluations().back());
  out += fmt::format("\n{} evaluation{}, the last after update {}\n", course.evaluations().size(),
                     course.evaluations().size() == 1 ? "" : "s", e.update);
  std::vector<estimate::NamedEstimate> rows;
  std::ranges::copy_if(e.estimates, std::back_inserter(rows), [](const auto& x) { return x.row > 0; });
  std::ranges::sort(rows, {}, &estimate::NamedEstimate::row);
  for (const estimate::NamedEstimate& estimate : rows)
    if (estimate.is_made() && !std::isnan(estimate.value.mean))
      out += picture_line(estimate.title, with_se(estimate.value),
                          heights_of(course.evaluated({}, fmt::format("evaluation.{}", estimate.name))),
                          columns);
  return cut_lines(out, columns);
}

bool watch(const std::filesystem::path& folder, const WatchOptions& options) {
  RunWatch run(folder, options.wanted);
  const bool is_terminal = ::isatty(options.descriptor) == 1;
  const auto columns = [&] { return is_terminal ? columns_of_terminal(options.descriptor) : 100; };
  ProgressLine progress({.enabled = !is_terminal && !options.is_once, .descriptor = options.descriptor});
  std::size_t n_lines = 0;
  const auto draw = [&] {
    const std::string picture = run.picture(columns());
    const std::string up = n_lines > 0 ? fmt::format("\x1b[{}A\x1b[J", n_lines) : std::string();
    write_all(options.descriptor, up + picture);
    n_lines = static_cast<std::size_t>(std::ranges::count(picture, '\n'));
  };
  while (!options.is_once && !run.writer().empty()) {
    if (is_terminal)
      draw();
    else
      progress.update(run.line(), {run.updates(), run.wanted()});
    std::this_thread::sleep_for(std::chrono::duration<double>(options.every_s));
    run.look();
  }
  progress.finish();
  run.look();
  draw();
  return run.is_finished();
}

}  // namespace twistor::report
