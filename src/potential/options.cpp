// The table of options of potentials and what goes by it.
#include "twistor/potential/options.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <type_traits>

#include "twistor/base/digest.hpp"
#include "twistor/base/mapped_file.hpp"

namespace twistor::potential {
namespace {

// A member and its key have one name, unless that is a word of the language.
#define TWISTOR_OPTION(name) #name, &PotentialOptions::name

constexpr std::array table = {
    OptionField{TWISTOR_OPTION(potential)},
    OptionField{TWISTOR_OPTION(beta)},
    OptionField{TWISTOR_OPTION(length)},
    OptionField{TWISTOR_OPTION(text)},
    OptionField{TWISTOR_OPTION(ids)},
    OptionField{TWISTOR_OPTION(words)},
    OptionField{TWISTOR_OPTION(log_floor)},
    OptionField{TWISTOR_OPTION(scores)},
    OptionField{TWISTOR_OPTION(table), true},
    OptionField{TWISTOR_OPTION(mode)},
    OptionField{TWISTOR_OPTION(lexicon), true},
    OptionField{TWISTOR_OPTION(cap)},
    OptionField{TWISTOR_OPTION(classifier), true},
    OptionField{TWISTOR_OPTION(encoder), true},
    OptionField{TWISTOR_OPTION(head), true},
    OptionField{TWISTOR_OPTION(dtype)},
    OptionField{TWISTOR_OPTION(pattern)},
    OptionField{"class", &PotentialOptions::class_name},
    OptionField{TWISTOR_OPTION(negate)},
    OptionField{TWISTOR_OPTION(rule)},
    OptionField{TWISTOR_OPTION(threshold)},
    OptionField{"template", &PotentialOptions::template_text},
    OptionField{TWISTOR_OPTION(answer)},
    OptionField{TWISTOR_OPTION(command)},
    OptionField{TWISTOR_OPTION(timeout_s)},
    OptionField{TWISTOR_OPTION(scope)},
};

// Numbers as the shortest text that reads back to the same bits.
template <class T>
std::string text_of(const T& value) {
  if constexpr (requires { value.begin(); } && !std::is_same_v<T, std::string>) {
    return fmt::format("{}", fmt::join(value, ","));
  } else {
    return fmt::format("{}", value);
  }
}

}  // namespace

std::span<const OptionField> option_fields() {
  return table;
}

const OptionField* find_option(std::string_view key) {
  const auto* found = std::ranges::find(table, key, &OptionField::key);
  return found == table.end() ? nullptr : found;
}

bool is_set(const OptionField& field, const PotentialOptions& options) {
  const PotentialOptions fresh;
  return std::visit([&](auto member) { return options.*member != fresh.*member; }, field.member);
}

std::string digest(const PotentialOptions& options) {
  Sha256 hash;
  for (const OptionField& field : table) {
    const std::string value = std::visit([&](auto m) { return text_of(options.*m); }, field.member);
    if (field.is_path && std::filesystem::is_regular_file(value)) {
      // The contents count, not the place.
      hash.add(fmt::format("{}:file:", field.key));
      hash.add(sha256_hex(MappedFile(value).bytes()));
    } else if (!field.is_path || value.empty()) {
      hash.add(fmt::format("{}:{}:{}|", field.key, value.size(), value));
    }
  }
  return hash.finish_hex();
}

}  // namespace twistor::potential
