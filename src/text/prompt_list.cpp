// SPDX-License-Identifier: Apache-2.0
// Reading files of prompts.
#include "twistor/text/prompt_list.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

#include "twistor/base/digest.hpp"
#include "twistor/base/error.hpp"
#include "twistor/format/json.hpp"
#include "twistor/format/quote.hpp"

namespace twistor::text {
namespace {

constexpr std::string_view line_hint =
    R"(write one object a line, for instance {"prompt": "Once upon a time"}; prompt.file in )"
    "configs/reference.cfg lists the members";

/// A message of anything that goes wrong with one line names that line.
[[noreturn]] void fail_line(const std::string& doing, const std::string& problem, std::string_view hint) {
  throw Error(ErrorKind::data, doing, problem, std::string(hint));
}

std::string id_of(const format::JsonView& value, const nlohmann::json& json) {
  if (json.is_number_integer()) return std::to_string(value.integer());
  return value.string();
}

/// The one of "prompt", "messages" and "ids" that the line has.
PromptSource source_of(const format::JsonView& line, const PromptSource& common, const std::string& doing) {
  constexpr std::array known{"prompt", "messages", "ids", "id", "length"};
  for (const auto& [name, value] : line.object().items())
    if (std::ranges::find(known, name) == known.end())
      fail_line(doing, fmt::format("there is no member {}", format::quote(name)), line_hint);
  PromptSource source = common;
  source.file.clear();
  int n = 0;
  if (const auto text = line.find("prompt")) {
    source.text = text->string();
    ++n;
  }
  if (const auto messages = line.find("messages")) {
    if (!messages->is_array()) fail_line(doing, "messages: expected an array", line_hint);
    source.messages = line.object().at("messages").dump();
    ++n;
  }
  if (const auto ids = line.find("ids")) {
    for (std::size_t i = 0; i < ids->array_size(); ++i) source.ids.push_back(ids->item(i).integer());
    ++n;
  }
  if (n != 1)
    fail_line(doing, fmt::format("expected exactly one of prompt, messages and ids, got {}", n), line_hint);
  if (n == 1 && source.text.empty() && source.messages.empty() && source.ids.empty())
    fail_line(doing, "the prompt is empty", "give it some text or tokens, or remove the line");
  return source;
}

std::uint64_t key_of_id(const std::string& id) {
  return std::stoull(sha256_hex(id).substr(0, 16), nullptr, 16);
}

ListedPrompt read_line(const std::string& text, std::int64_t place, const PromptListOptions& options,
                       PromptReader& reader, const std::string& doing) {
  const nlohmann::json json = format::parse_json(text, doing);
  const format::JsonView line(json, doing);
  ListedPrompt out;
  const PromptSource source = source_of(line, options.common, doing);
  if (const auto id = line.find("id")) {
    out.id = id_of(*id, json.at("id"));
    if (out.id.empty()) fail_line(doing, "the id is empty", "leave it out, or give each line its own");
  }
  const auto length = line.find("length");
  out.length = length ? length->integer(1) : options.length;
  out.key = out.id.empty() ? static_cast<std::uint64_t>(place) : key_of_id(out.id);
  try {
    out.prompt = reader.read(source);
    require_room(out.prompt, out.length, options.context_length);
  } catch (const Error& error) {
    fail_line(doing, error.what(), error.hint());
  }
  return out;
}

}  // namespace

std::vector<ListedPrompt> read_prompt_list(const std::filesystem::path& path,
                                           const PromptListOptions& options) {
  const std::string doing = fmt::format("reading prompts from {}", path.string());
  std::ifstream file(path, std::ios::binary);
  TWISTOR_CHECK(file.is_open() && !std::filesystem::is_directory(path), ErrorKind::no_input, doing,
                "expected a file that can be read", "check prompt.file");
  PromptReader reader(options.tokenizer, options.vocab_size, options.model);
  std::vector<ListedPrompt> prompts;
  std::map<std::string, std::int64_t> line_of;  // by id
  std::string line;
  for (std::int64_t number = 1; std::getline(file, line); ++number) {
    if (line.ends_with('\r')) line.pop_back();
    if (line.empty()) continue;
    const std::string here = fmt::format("{}, line {}", doing, number);
    prompts.push_back(read_line(line, static_cast<std::int64_t>(prompts.size()), options, reader, here));
    const std::string& id = prompts.back().id;
    if (id.empty()) continue;
    const auto [first, is_new] = line_of.emplace(id, number);
    if (!is_new)
      fail_line(here, fmt::format("the id {} is that of line {} too", format::quote(id), first->second),
                "give each line an id of its own, or none");
  }
  TWISTOR_CHECK(!file.bad(), ErrorKind::no_input, doing, "reading stopped before the end of the file");
  TWISTOR_CHECK(!prompts.empty(), ErrorKind::data, doing, "there is no prompt in it", std::string(line_hint));
  return prompts;
}

std::string digest(std::span<const ListedPrompt> prompts) {
  Sha256 sha;
  for (const ListedPrompt& p : prompts) {
    sha.add(fmt::format("{}:{} {} {}\n", p.id.size(), p.id, p.length, p.prompt.ids.size()));
    sha.add(std::as_bytes(std::span(p.prompt.ids)));
  }
  return sha.finish_hex();
}

std::string describe(std::span<const ListedPrompt> prompts) {
  const auto size = [](const ListedPrompt& p) { return p.prompt.ids.size(); };
  const auto [shortest, longest] = std::ranges::minmax(prompts, {}, size);
  return fmt::format("{} prompts of {} to {} tokens", prompts.size(), size(shortest), size(longest));
}

}  // namespace twistor::text
