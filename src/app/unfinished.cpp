// Unfinished work on disk.
#include "twistor/app/unfinished.hpp"

#include <fmt/format.h>

#include <cstring>

#include "twistor/base/digest.hpp"
#include "twistor/base/log.hpp"
#include "twistor/comm/collectives.hpp"
#include "twistor/store/results.hpp"

namespace twistor::app {

std::string work_key(const Session& session, std::string_view twist_form,
                     std::span<const twist::Parameter> parameters, const store::ExactSamples& exact) {
  Sha256 sha;
  const auto add_text = [&](std::string_view text) { sha.add(fmt::format("{}:{}\n", text.size(), text)); };
  add_text("numbers of version 2");  // of what is kept
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
        key == "train.positives" || key == "evaluate.enumerate_q" || key == "sample.count" ||
        key == "sample.from" || key.starts_with("target.") || key.starts_with("smc."))
      add_text(fmt::format("{}={}", key, config::format_value(field)));
  }
  sha.add(std::as_bytes(std::span(exact.tokens.values)));
  return sha.finish_hex();
}

Unfinished::Unfinished(const Session& session, const std::string& name, std::string key)
    : session_(session), file_(session.output(name)), key_(std::move(key)) {}

std::string Unfinished::load_bytes() const {
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

std::vector<double> Unfinished::load() const {
  const std::string bytes = load_bytes();
  std::vector<double> numbers(bytes.size() / sizeof(double));
  if (!numbers.empty()) std::memcpy(numbers.data(), bytes.data(), numbers.size() * sizeof(double));
  return numbers;
}

void Unfinished::save(const std::vector<double>& numbers) const {
  if (!session_.is_root()) return;
  const auto bytes = std::as_bytes(std::span(numbers));
  const auto* first = reinterpret_cast<const std::uint8_t*>(bytes.data());
  store::Results kept;
  kept.config_text = to_text(session_.config());
  kept.arrays["key"] = store::Array<std::uint8_t>::flat({key_.begin(), key_.end()});
  kept.arrays["data"] = store::Array<std::uint8_t>::flat({first, first + bytes.size()});
  store::write_results(file_, kept);
}

void Unfinished::remove() const noexcept {
  std::error_code ignored;
  if (session_.is_root()) std::filesystem::remove(file_, ignored);
}

}  // namespace twistor::app
