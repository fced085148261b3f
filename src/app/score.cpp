// `twistor score`: the log-probability of every token of a text.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "twistor/app/commands.hpp"
#include "twistor/base/error.hpp"
#include "twistor/model/language_model.hpp"
#include "twistor/model/load.hpp"
#include "twistor/text/tokenizer.hpp"

namespace twistor::app {
namespace {

std::vector<std::int64_t> ids_of(const Invocation& invocation, const std::string& doing) {
  if (!invocation.ids.empty()) return invocation.ids;
  const auto tokenizer = text::load_tokenizer(invocation.path);
  TWISTOR_CHECK(tokenizer != nullptr, ErrorKind::no_input, doing, "the folder has no tokenizer",
                "give token ids: --ids 1,2,3");
  return tokenizer->encode(invocation.text.value());
}

}  // namespace

int score(const Invocation& invocation) {
  const std::string doing = fmt::format("scoring with {}", invocation.path.string());
  const std::vector<std::int64_t> ids = ids_of(invocation, doing);
  TWISTOR_CHECK(!ids.empty(), ErrorKind::usage, doing, "the text has no tokens", "give a longer text");
  model::LoadOptions options;
  options.precision = from_name<device::Precision>(invocation.dtype, "--dtype");
  const auto lm = model::load_language_model(invocation.path, options);
  nlohmann::ordered_json json;
  json["ids"] = ids;
  json["log_probs"] = model::score(*lm, ids);  // written so that they read back to the same bits
  fmt::print("{}\n", json.dump());
  return 0;
}

}  // namespace twistor::app
