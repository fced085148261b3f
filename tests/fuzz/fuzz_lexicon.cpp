// SPDX-License-Identifier: Apache-2.0
// Any bytes as a lexicon, and as a text that it scores.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "potential/kinds/lexicon.hpp"
#include "twistor/base/error.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace twistor;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  try {
    potential::Lexicon lexicon = potential::parse_lexicon(bytes, "fuzz");
    const potential::LexiconScorer scorer(std::move(lexicon), {potential::LexiconMode::mean, 1, 1e9});
    const std::string text(bytes);
    (void)scorer.log_phi({&text, 1});
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::internal) throw;
  }
  return 0;
}
