// SPDX-License-Identifier: Apache-2.0
// One sweep as a picture: the lines of its particles, and what each token of the heaviest texts did.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "html_parts.hpp"
#include "html_text.hpp"

namespace twistor::report {
namespace {

constexpr double picture_width = 760, picture_left = 12, picture_right = 24, row_height = 7, picture_top = 10,
                 picture_foot = 34;

const std::string sweep_prefix = "after/sweep/";

/// What results.h5 holds of a sweep.
struct StoredSweep {
  std::size_t K = 0, T = 0;
  std::span<const std::int64_t> tokens, resampled_at, ancestors;
  std::span<const double> log_psi, log_increment, log_phi, log_weight;
  std::vector<std::string> pieces;  // (K, T); empty without a tokenizer
};

template <class Value>
std::span<const Value> stored_values(const store::Results& results, const std::string& name) {
  const auto found = results.arrays.find(name);
  const auto* const array =
      found == results.arrays.end() ? nullptr : std::get_if<Array<Value>>(&found->second);
  return array == nullptr ? std::span<const Value>{} : std::span<const Value>(array->values);
}

std::optional<StoredSweep> stored_sweep(const store::Results& results, const std::string& prefix) {
  StoredSweep out;
  out.tokens = stored_values<std::int64_t>(results, prefix + "tokens");
  out.resampled_at = stored_values<std::int64_t>(results, prefix + "resampled_at");
  out.ancestors = stored_values<std::int64_t>(results, prefix + "ancestors");
  out.log_psi = stored_values<double>(results, prefix + "log_psi");
  out.log_increment = stored_values<double>(results, prefix + "log_increment");
  out.log_phi = stored_values<double>(results, prefix + "log_phi");
  out.log_weight = stored_values<double>(results, prefix + "log_weight");
  out.K = out.log_phi.size();
  if (out.K == 0) return std::nullopt;
  out.T = out.tokens.size() / out.K;
  if (const auto found = results.arrays.find(prefix + "pieces"); found != results.arrays.end())
    if (const auto* const text = std::get_if<std::string>(&found->second))
      if (const auto json = nlohmann::json::parse(*text, nullptr, false); json.is_array())
        for (const auto& piece : json)
          out.pieces.push_back(piece.is_string() ? piece.get<std::string>() : "");
  const std::size_t n = out.K * out.T;
  const auto is_id = [&](std::int64_t id) { return id >= 0 && id < static_cast<std::int64_t>(out.K); };
  const bool fits =
      out.T > 0 && out.tokens.size() == n && out.log_psi.size() == n && out.log_increment.size() == n &&
      out.log_weight.size() == out.K && out.ancestors.size() == out.K * out.resampled_at.size() &&
      (out.pieces.empty() || out.pieces.size() == n) && std::ranges::all_of(out.ancestors, is_id);
  return fits ? std::optional(std::move(out)) : std::nullopt;
}

/// The lines from the founders to the particles of the end, in an order in which none crosses another: those
/// with a common ancestor lie together.
class Tree {
 public:
  explicit Tree(const StoredSweep& sweep) : sweep_(sweep), n_generations_(sweep.resampled_at.size() + 1) {
    for (std::size_t i = 0; i < sweep.K; ++i) {
      std::vector<std::int64_t> line(n_generations_);  // from the founder on
      auto id = static_cast<std::int64_t>(i);
      for (std::size_t g = n_generations_; g-- > 0;) {
        line[g] = id;
        if (g > 0) id = sweep.ancestors[(g - 1) * sweep.K + static_cast<std::size_t>(id)];
      }
      lines_.push_back(std::move(line));
    }
    std::ranges::sort(lines_);
  }

  [[nodiscard]] std::size_t n_founders() const {
    std::set<std::int64_t> founders;
    for (const auto& line : lines_) founders.insert(line.front());
    return founders.size();
  }

  [[nodiscard]] std::string svg() const {
    const double height = picture_top + row_height * static_cast<double>(sweep_.K) + picture_foot;
    std::string out = fmt::format(
        "<svg viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"Genealogy: the lines of {} particles over {} "
        "steps "
        "go back to {} founders\">\n",
        picture_width, height, sweep_.K, sweep_.T, n_founders());
    draw(0, 0, lines_.size(), std::nullopt, out);
    for (std::size_t i = 0; i < lines_.size(); ++i) {
      const auto id = static_cast<std::size_t>(lines_[i].back());
      const double share = std::exp(sweep_.log_weight[id]);
      out += fmt::format(
          "<circle class=\"leaf\" cx=\"{}\" cy=\"{:.1f}\" r=\"{:.1f}\"><title>{}</title></circle>\n",
          picture_width - picture_right + 9, y_of(i, i + 1), 1.2 + 7 * std::sqrt(share),
          fmt::format("particle {}: {:.3g} of the weight, log φ = {:.4g}", id, share, sweep_.log_phi[id]));
    }
    for (const double at : {0.0, static_cast<double>(sweep_.T) / 2, static_cast<double>(sweep_.T)})
      out += fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\">{:g}</text>\n", x_of(at),
                         height - 18, at == 0 ? "start" : "middle", at);
    return out +
           fmt::format("<text x=\"{}\" y=\"{:.1f}\" text-anchor=\"middle\">tokens drawn</text>\n</svg>\n",
                       picture_width / 2, height - 3);
  }

 private:
  /// Where a line comes from: its parent's height, and the bend there.
  struct Origin {
    double y;
  };
  [[nodiscard]] double x_of(double n_drawn) const {
    return picture_left +
           n_drawn / static_cast<double>(sweep_.T) * (picture_width - picture_left - picture_right);
  }
  [[nodiscard]] static double y_of(std::size_t begin, std::size_t end) {
    return picture_top + row_height * 0.5 * static_cast<double>(begin + end - 1);
  }
  [[nodiscard]] double start_of(std::size_t generation) const {
    return generation == 0 ? x_of(0) : x_of(static_cast<double>(sweep_.resampled_at[generation - 1]));
  }
  [[nodiscard]] double bend_before(std::size_t generation) const {
    return std::min(12.0, 0.6 * (start_of(generation) - start_of(generation - 1)));
  }

  /// Lines [begin, end) from a generation on: one for each ancestor there, as far as its offspring stay
  /// together, then theirs.
  void draw(std::size_t generation, std::size_t begin, std::size_t end, std::optional<Origin> origin,
            std::string& out) const {
    for (std::size_t low = begin; low < end;) {
      std::size_t high = low + 1;
      while (high < end && lines_[high][generation] == lines_[low][generation]) ++high;
      std::size_t next = generation + 1;
      while (next < n_generations_ && lines_[low][next] == lines_[high - 1][next]) ++next;
      const bool is_leaf = next == n_generations_;
      const double y = y_of(low, high), x = start_of(generation);
      out += "<path class=\"tree\" d=\"";
      if (origin) out += fmt::format("M{:.1f} {:.1f}", x - bend_before(generation), origin->y);
      out += fmt::format("{}{:.1f} {:.1f}H{:.1f}\"/>\n", origin ? "L" : "M", x, y,
                         is_leaf ? picture_width - picture_right : start_of(next) - bend_before(next));
      if (!is_leaf) draw(next, low, high, Origin{y}, out);
      low = high;
    }
  }

  const StoredSweep& sweep_;
  std::size_t n_generations_;
  std::vector<std::vector<std::int64_t>> lines_;  // (K) ids by generation, in the order of the picture
};

std::string genealogy(const StoredSweep& sweep) {
  constexpr std::size_t most_numbers = 20000;
  const Tree tree(sweep);
  std::string csv = "tokens drawn,particle,ancestor\n";
  if (sweep.ancestors.size() > most_numbers)
    csv = "too many to list: arrays/after/sweep/ancestors in results.h5\n";
  else
    for (std::size_t i = 0; i < sweep.ancestors.size(); ++i)
      csv += fmt::format("{},{},{}\n", sweep.resampled_at[i / sweep.K], i % sweep.K, sweep.ancestors[i]);
  return fmt::format(
      "<figure class=\"medium\"><figcaption>Genealogy of one sweep</figcaption>\n{}<p class=\"soft\">The "
      "lines of {} "
      "particles, back "
      "from the last token on the right: where two meet, resampling gave both one ancestor. {} of the {} "
      "founders "
      "have descendants; {} resampling{}. Discs are final weights.</p>\n{}</figure>\n",
      tree.svg(), sweep.K, tree.n_founders(), sweep.K, sweep.resampled_at.size(),
      sweep.resampled_at.size() == 1 ? "" : "s", details("Numbers", fmt::format("<pre>{}</pre>", csv)));
}

/// The class of a colour from strong orange, u0, by none, u4, to strong blue, u8.
std::string shade(double x, double scale) {
  if (!std::isfinite(x)) return x < 0 ? "n u0" : "n u8";
  const double place = scale > 0 ? std::clamp(x / scale, -1.0, 1.0) : 0.0;
  return fmt::format("n u{}", 4 + std::lround(4 * place));
}

/// A size that most of some numbers stay below.
double typical(std::vector<double> sizes) {
  std::erase_if(sizes, [](double x) { return !std::isfinite(x); });
  for (double& x : sizes) x = std::abs(x);
  if (sizes.empty()) return 0;
  const auto place = sizes.begin() + static_cast<std::ptrdiff_t>(sizes.size() * 9 / 10);
  std::ranges::nth_element(sizes, place);
  return *place;
}

/// Newlines and the like as signs.
std::string visible(const std::string& piece) {
  std::string out;
  for (const char c : piece)
    out += c == '\n' ? std::string("⏎") : c == '\t' ? std::string("⇥") : std::string(1, c);
  return html(out);
}

/// The i-th number of an array of the sweep.
std::string stored_number(double x, const char* form, std::string_view style, std::string_view array,
                          std::size_t i) {
  return html_number(x, form, style, fmt::format("results.h5:{}{}[{}]", sweep_prefix, array, i));
}

std::string token_texts(const StoredSweep& sweep) {
  constexpr std::size_t most_tokens = 2400, most_texts = 8;
  std::vector<std::size_t> order(sweep.K);
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, std::greater<>{}, [&](std::size_t i) { return sweep.log_weight[i]; });
  std::vector<double> mean_psi(sweep.T), away(sweep.K * sweep.T);
  for (std::size_t i = 0; i < away.size(); ++i)
    mean_psi[i % sweep.T] += sweep.log_psi[i] / static_cast<double>(sweep.K);
  for (std::size_t i = 0; i < away.size(); ++i) away[i] = sweep.log_psi[i] - mean_psi[i % sweep.T];
  const double scale_w = typical({sweep.log_increment.begin(), sweep.log_increment.end()});
  const double scale_psi = typical(away);
  std::string out;
  std::set<std::vector<std::int64_t>> seen;
  std::size_t n_tokens = 0;
  for (const std::size_t i : order) {
    const auto ids = sweep.tokens.subspan(i * sweep.T, sweep.T);
    if (seen.size() == most_texts || n_tokens >= most_tokens) break;
    if (!seen.emplace(ids.begin(), ids.end()).second) continue;
    const std::size_t shown = std::min(sweep.T, most_tokens - n_tokens);
    out += fmt::format(
        "<p class=\"soft\">particle {}, log of its share of the weight {}, log φ {}</p>\n<div "
        "class=\"tokens\">\n",
        i, stored_number(sweep.log_weight[i], "{:.3f}", "", "log_weight", i),
        stored_number(sweep.log_phi[i], "{:.3f}", "", "log_phi", i));
    for (std::size_t t = 0; t < shown; ++t) {
      const std::size_t at = i * sweep.T + t;
      out +=
          fmt::format("<span><i>{}</i>{}{}</span>\n",
                      sweep.pieces.empty() ? fmt::format("{}", ids[t]) : visible(sweep.pieces[at]),
                      stored_number(sweep.log_increment[at], "{:+.2f}",
                                    shade(sweep.log_increment[at], scale_w), "log_increment", at),
                      stored_number(sweep.log_psi[at], "{:.2f}", shade(away[at], scale_psi), "log_psi", at));
    }
    out +=
        shown < sweep.T ? fmt::format("<span><i>… {} more</i></span></div>\n", sweep.T - shown) : "</div>\n";
    n_tokens += shown;
  }
  return fmt::format(
             "<h3>Its heaviest texts, token by token</h3>\n<p class=\"soft\">Beneath each token: what it "
             "adds to log w "
             "(the last one with φ in the place of ψ), then log ψ after it. Colours repeat the numbers: "
             "<span class=\"u7\">blue</span> raises the weight, or has a higher log ψ than the mean of the "
             "particles "
             "at that step, <span class=\"u1\">orange</span> lowers it, or has a lower one.</p>\n") +
         out;
}

}  // namespace

std::string sweep_picture(const store::Results& results) {
  const std::optional<StoredSweep> sweep = stored_sweep(results, sweep_prefix);
  return sweep ? genealogy(*sweep) + token_texts(*sweep) : std::string{};
}

}  // namespace twistor::report
