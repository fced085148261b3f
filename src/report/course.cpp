// SPDX-License-Identifier: Apache-2.0
// Reading metrics.jsonl.
#include "course.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <iterator>
#include <limits>
#include <utility>

#include "json_value.hpp"
#include "run_json.hpp"
#include "twistor/estimate/statistics.hpp"

namespace twistor::report {

bool Course::read_on() {
  struct stat now {};
  if (::stat(file_.c_str(), &now) != 0) return false;
  const auto size = static_cast<std::uintmax_t>(now.st_size);
  const bool is_another = now.st_ino != file_id_ || size < n_read_;
  if (!is_another && size == n_read_) return false;
  if (is_another) {
    updates_.clear();
    evaluations_.clear();
    n_read_ = 0;
    file_id_ = now.st_ino;
  }
  std::ifstream stream(file_, std::ios::binary);
  stream.seekg(static_cast<std::streamoff>(n_read_));
  std::string text{std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
  text.resize(text.rfind('\n') + 1);  // the last line may be half written; npos + 1 is 0
  n_read_ += text.size();
  for (nlohmann::json& line : read_lines(text).objects)
    (at(line, {"event"}) == "evaluation" ? evaluations_ : updates_).push_back(std::move(line));
  return is_another || !text.empty();
}

Series Course::evaluated(std::string name, const std::string& estimate, bool is_dashed) const {
  Series series{std::move(name), {}, is_dashed};
  const std::string mean = estimate + ".mean", se = estimate + ".se", n = estimate + ".n",
                    is_exact = estimate + ".exact";
  for (const nlohmann::json& line : evaluations_) {
    const auto number = [&](const std::string& key) { return number_of(at(line, {key.c_str()})); };
    series.points.emplace_back(number("update"), number(mean));
    const double count = number(n);
    const bool has_error = count > 1 && std::isnan(number(is_exact)) && std::isfinite(number(se));
    series.errors.push_back(has_error
                                ? estimate::half_width_95({number(mean), number(se), std::llround(count)})
                                : std::numeric_limits<double>::quiet_NaN());
  }
  return series;
}

Series Course::updated(std::string name, const char* key, std::size_t most) const {
  const std::size_t stride = (updates_.size() + most - 1) / most;
  Series series{std::move(name)};
  for (std::size_t begin = 0; begin < updates_.size(); begin += stride) {
    double x = 0, y = 0, n = 0;
    for (std::size_t i = begin; i < std::min(begin + stride, updates_.size()); ++i) {
      const double value = number_of(at(updates_[i], {key}));
      if (!std::isfinite(value)) continue;
      x += number_of(at(updates_[i], {"update"}));
      y += value;
      ++n;
    }
    if (n > 0) series.points.emplace_back(x / n, y / n);
  }
  return series;
}

}  // namespace twistor::report
