// SPDX-License-Identifier: Apache-2.0
// Exact samples as archives.
#include "twistor/store/exact_samples.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "twistor/base/error.hpp"

namespace twistor::store {
namespace {

constexpr const char* exact_samples_kind = "exact-samples";
using Shape = std::vector<std::int64_t>;

/// Throws unless all sizes belong together.
void check_sizes(const ExactSamples& s, ErrorKind error, const std::string& doing) {
  const std::int64_t n = s.n();
  const auto check = [&](bool ok, const std::string& problem) {
    TWISTOR_CHECK(ok, error, doing, problem, "draw the exact samples again");
  };
  check(s.length >= 1, fmt::format("expected a length T of at least 1, got {}", s.length));
  check(s.tokens.shape == Shape{n, s.length} &&
            s.tokens.values.size() == static_cast<std::size_t>(n * s.length),
        fmt::format("expected tokens of shape ({}, {}), got ({})", n, s.length,
                    fmt::join(s.tokens.shape, ", ")));
  check(s.log_p0.size() == s.log_phi.size(),
        fmt::format("expected {} values of log_p0, got {}", n, s.log_p0.size()));
  check(!s.has_observations() || (s.observations.shape.size() == 2 && s.observations.shape[0] == n),
        fmt::format("expected observations of shape ({}, c), got ({})", n,
                    fmt::join(s.observations.shape, ", ")));
  const auto is_nan = [](double x) { return std::isnan(x); };
  check(std::none_of(s.log_p0.begin(), s.log_p0.end(), is_nan), "a log_p0 is NaN");
  check(std::none_of(s.log_phi.begin(), s.log_phi.end(), is_nan), "a log_phi is NaN");
  const auto is_negative = [](std::int64_t id) { return id < 0; };
  check(std::none_of(s.tokens.values.begin(), s.tokens.values.end(), is_negative), "a token id is negative");
}

}  // namespace

void write_exact_samples(const std::filesystem::path& path, const ExactSamples& s,
                         const WriteOptions& options) {
  check_sizes(s, ErrorKind::internal, "writing exact-samples " + path.string());
  Archive archive;
  archive.datasets.emplace("prompt", Array<std::int64_t>::flat(s.prompt));
  archive.datasets.emplace("tokens", s.tokens);
  archive.datasets.emplace("log_p0", Array<double>::flat(s.log_p0));
  archive.datasets.emplace("log_phi", Array<double>::flat(s.log_phi));
  if (s.has_observations()) archive.datasets.emplace("observations", s.observations);
  archive.datasets.emplace("potential", s.potential);
  archive.attributes = {{"length", s.length},
                        {"log_z", s.log_z},
                        {"how", s.how},
                        {"n_draws", s.n_draws},
                        {"model_fingerprint", s.model_fingerprint}};
  write_archive(path, archive, exact_samples_kind, options);
}

ExactSamples load_exact_samples(const std::filesystem::path& path) {
  const Archive archive = read_archive(path, exact_samples_kind);
  ExactSamples s;
  s.prompt = archive.dataset<Array<std::int64_t>>("prompt").values;
  s.tokens = archive.dataset<Array<std::int64_t>>("tokens");
  s.log_p0 = archive.dataset<Array<double>>("log_p0").values;
  s.log_phi = archive.dataset<Array<double>>("log_phi").values;
  if (archive.datasets.contains("observations"))
    s.observations = archive.dataset<Array<std::int64_t>>("observations");
  s.potential = archive.dataset<std::string>("potential");
  s.length = archive.attribute<std::int64_t>("length");
  s.log_z = archive.attribute<double>("log_z");
  s.how = archive.attribute<std::string>("how");
  s.n_draws = archive.attribute<std::int64_t>("n_draws");
  s.model_fingerprint = archive.attribute<std::string>("model_fingerprint");
  check_sizes(s, ErrorKind::data, "reading " + archive.origin);
  return s;
}

}  // namespace twistor::store
