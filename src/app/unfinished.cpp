// Unfinished work on disk.
#include "twistor/app/unfinished.hpp"

#include <fmt/format.h>

#include <cstring>

#include "twistor/base/digest.hpp"
#include "twistor/base/error.hpp"
#include "twistor/base/log.hpp"
#include "twistor/comm/collectives.hpp"
#include "twistor/store/checkpoint.hpp"
#include "twistor/store/results.hpp"

namespace twistor::app {
namespace {

/// Findings as numbers: how many repeats, numbers of each, samples of q, exact samples, and then these.
std::vector<double> to_numbers(const estimate::Findings& found) {
  const std::size_t n_steps = found.repeats.empty() ? 0 : found.repeats.front().ess.size();
  std::vector<double> out{static_cast<double>(found.repeats.size()), static_cast<double>(n_steps),
                          static_cast<double>(found.q.size()), static_cast<double>(found.g.size())};
  for (const estimate::BoundRun& r : found.repeats) {
    out.insert(out.end(), {r.sis_lower, r.sis_upper, r.smc_lower, r.smc_upper, r.variance, r.final_ess});
    out.insert(out.end(), r.ess.begin(), r.ess.end());
  }
  for (const estimate::ProposalSample& s : found.q) out.insert(out.end(), {s.ratio, s.log_phi, s.kl_q_p0});
  out.insert(out.end(), found.g.begin(), found.g.end());
  return out;
}

estimate::Findings from_numbers(const std::vector<double>& x) {
  estimate::Findings out;
  if (x.size() < 4) return out;
  const auto size = [&](std::size_t i) { return static_cast<std::size_t>(x[i]); };
  const std::size_t n_repeats = size(0), n_steps = size(1), n_q = size(2), n_g = size(3);
  TWISTOR_CHECK(x.size() == 4 + n_repeats * (6 + n_steps) + 3 * n_q + n_g, ErrorKind::data,
                "resuming an evaluation", "what was kept of it has another size",
                "remove evaluation.partial.h5");
  auto at = x.begin() + 4;
  for (std::size_t i = 0; i < n_repeats; ++i) {
    const auto end = at + 6 + static_cast<std::ptrdiff_t>(n_steps);
    out.repeats.push_back({at[0], at[1], at[2], at[3], at[4], at[5], {at + 6, end}});
    at = end;
  }
  for (std::size_t i = 0; i < n_q; ++i, at += 3) out.q.push_back({at[0], at[1], at[2]});
  out.g.assign(at, x.end());
  return out;
}

/// Draws as numbers: how many populations and sequences, T, and then these. Ids and tokens are exact in them.
std::vector<double> to_numbers(const estimate::Draws& draws) {
  const std::size_t T = draws.sequences.empty() ? 0 : draws.sequences.front().tokens.size();
  std::vector<double> out{static_cast<double>(draws.populations.size()),
                          static_cast<double>(draws.sequences.size()), static_cast<double>(T)};
  for (const estimate::PopulationFacts& p : draws.populations) out.insert(out.end(), {p.log_z, p.final_ess});
  for (const estimate::WeightedSequence& s : draws.sequences) {
    out.insert(out.end(), {static_cast<double>(s.population), static_cast<double>(s.id), s.log_p0, s.log_q,
                           s.log_phi, s.log_weight});
    for (const std::int64_t token : s.tokens) out.push_back(static_cast<double>(token));
  }
  return out;
}

estimate::Draws draws_from_numbers(const std::vector<double>& x) {
  estimate::Draws out;
  if (x.size() < 3) return out;
  const auto n_populations = static_cast<std::size_t>(x[0]), n = static_cast<std::size_t>(x[1]),
             T = static_cast<std::size_t>(x[2]);
  TWISTOR_CHECK(x.size() == 3 + 2 * n_populations + n * (6 + T), ErrorKind::data, "resuming a sampling",
                "what was kept of it has another size", "remove samples.partial.h5");
  auto at = x.begin() + 3;
  for (std::size_t i = 0; i < n_populations; ++i, at += 2)
    out.populations.push_back({static_cast<std::int64_t>(i), at[0], at[1]});
  for (std::size_t i = 0; i < n; ++i) {
    estimate::WeightedSequence s{
        static_cast<std::int64_t>(at[0]), static_cast<std::int64_t>(at[1]), {}, at[2], at[3], at[4], at[5]};
    at += 6;
    for (std::size_t t = 0; t < T; ++t) s.tokens.push_back(static_cast<std::int64_t>(*at++));
    out.sequences.push_back(std::move(s));
  }
  return out;
}

}  // namespace

std::string work_key(const Session& session, std::string_view twist_form,
                     std::span<const twist::Parameter> parameters, const store::ExactSamples& exact) {
  Sha256 sha;
  const auto add_text = [&](std::string_view text) { sha.add(fmt::format("{}:{}\n", text.size(), text)); };
  add_text(twist_form);
  for (const twist::Parameter& p : parameters) {
    add_text(p.name);
    sha.add(std::as_bytes(std::span(p.value)));
  }
  add_text(session.lm().fingerprint());
  add_text(session.potential_identity());
  sha.add(std::as_bytes(std::span(session.prompt())));
  Config config = session.config();
  for (const config::Field& field : fields_of(config)) {
    const std::string_view key = field.key;
    if (key == "model.dtype" || key == "run.seed" || key == "evaluate.repeats" || key == "evaluate.samples" ||
        key == "sample.count" || key == "sample.from" || key.starts_with("target.") ||
        key.starts_with("smc."))
      add_text(fmt::format("{}={}", key, config::format_value(field)));
  }
  sha.add(std::as_bytes(std::span(exact.tokens.values)));
  return sha.finish_hex();
}

Unfinished::Unfinished(const Session& session, const std::string& name, std::string key)
    : session_(session), file_(session.output(name)), key_(std::move(key)) {}

std::string Unfinished::load() const {
  std::string bytes;
  if (session_.is_root() && session_.config().run.resume != "never" && std::filesystem::exists(file_)) {
    try {
      const store::Results kept = store::load_results(file_);
      const auto key = kept.arrays.find("key"), data = kept.arrays.find("data");
      if (key != kept.arrays.end() && data != kept.arrays.end() &&
          std::get<store::Array<std::uint8_t>>(key->second).values ==
              std::vector<std::uint8_t>(key_.begin(), key_.end())) {
        const auto& values = std::get<store::Array<std::uint8_t>>(data->second).values;
        bytes.assign(values.begin(), values.end());
      }
    } catch (const std::exception& error) {
      log_warning(fmt::format("{}; this work begins anew", error.what()));
    }
  }
  comm::broadcast(bytes, 0, session_.world());
  return bytes;
}

void Unfinished::write(const std::string& bytes) const {
  if (!session_.is_root()) return;
  store::Results kept;
  kept.config_text = to_text(session_.config());
  kept.arrays["key"] = store::Array<std::uint8_t>::flat({key_.begin(), key_.end()});
  kept.arrays["data"] = store::Array<std::uint8_t>::flat({bytes.begin(), bytes.end()});
  store::write_results(file_, kept);
}

std::vector<double> Unfinished::load_numbers() const {
  const std::string bytes = load();
  std::vector<double> numbers(bytes.size() / sizeof(double));
  if (!numbers.empty()) std::memcpy(numbers.data(), bytes.data(), numbers.size() * sizeof(double));
  return numbers;
}

estimate::Findings Unfinished::load_findings() const {
  return from_numbers(load_numbers());
}

estimate::Draws Unfinished::load_draws() const {
  return draws_from_numbers(load_numbers());
}

void Unfinished::save(const estimate::Findings& findings) const {
  save_numbers(to_numbers(findings));
}

void Unfinished::save(const estimate::Draws& draws) const {
  save_numbers(to_numbers(draws));
}

void Unfinished::save_numbers(const std::vector<double>& numbers) const {
  std::string bytes(numbers.size() * sizeof(double), '\0');
  std::memcpy(bytes.data(), numbers.data(), bytes.size());
  write(bytes);
}

void Unfinished::remove() const noexcept {
  std::error_code ignored;
  if (session_.is_root()) std::filesystem::remove(file_, ignored);
}

}  // namespace twistor::app
