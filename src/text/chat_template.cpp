// SPDX-License-Identifier: Apache-2.0
// Finding chat templates and rendering messages by them.
#include "twistor/text/chat_template.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <utility>

#include "template_error.hpp"
#include "template_evaluator.hpp"
#include "template_strings.hpp"
#include "twistor/base/error.hpp"
#include "twistor/base/mapped_file.hpp"
#include "twistor/format/gguf_parts.hpp"
#include "twistor/format/json_file.hpp"
#include "twistor/format/model_folder.hpp"
#include "twistor/format/quote.hpp"
#include "twistor/text/tokenizer_formats.hpp"

namespace twistor::text {
namespace {

namespace fs = std::filesystem;
using chat::Evaluator;
using chat::TemplateProblem;
using chat::Value;

constexpr std::size_t most_source_bytes = std::size_t{1} << 20;

/// A string, or the one called "default" of a list of templates by name.
std::string default_template(const format::JsonView& given) {
  if (!given.is_array()) return given.string();
  std::string names;
  for (std::size_t i = 0; i < given.array_size(); ++i) {
    const std::string& name = given.item(i).at("name").string();
    if (name == "default") return given.item(i).at("template").string();
    names += (i == 0 ? "" : ", ") + name;
  }
  given.fail(fmt::format("no template of the list is called default (there are {})", names));
}

ChatTemplateSource template_of_folder(const fs::path& folder) {
  ChatTemplateSource out;
  for (const char* file : {"tokenizer_config.json", "special_tokens_map.json"}) {
    const fs::path path = folder / file;
    if (!fs::exists(path)) continue;
    const format::JsonFile config(path);
    if (out.bos_token.empty()) out.bos_token = token_member(config.view(), "bos_token").value_or("");
    if (out.eos_token.empty()) out.eos_token = token_member(config.view(), "eos_token").value_or("");
    if (const auto found = config.view().find("chat_template"); found && out.text.empty()) {
      out.text = default_template(*found);
      out.where = "chat_template of " + path.string();
    }
  }
  if (const fs::path path = folder / "chat_template.jinja"; fs::exists(path)) {
    const MappedFile file(path);
    out.text.assign(reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size());
    out.where = path.string();
  }
  return out;
}

ChatTemplateSource template_of_gguf(const fs::path& path) {
  const format::GgufFile gguf = format::open_gguf_header(path);
  ChatTemplateSource out;
  out.text = gguf.find_string("tokenizer.chat_template").value_or("");
  out.where = "tokenizer.chat_template of " + path.string();
  if (!gguf.has("tokenizer.ggml.tokens")) return out;
  const auto tokens = gguf.strings("tokenizer.ggml.tokens");
  const auto name_of = [&](const char* key) {
    const auto id = gguf.find_integer(key);
    return id && *id >= 0 && *id < static_cast<std::int64_t>(tokens.size())
               ? std::string(tokens[static_cast<std::size_t>(*id)])
               : std::string();
  };
  out.bos_token = name_of("tokenizer.ggml.bos_token_id");
  out.eos_token = name_of("tokenizer.ggml.eos_token_id");
  return out;
}

nlohmann::ordered_json parsed_json(std::string_view text, const std::string& doing, const std::string& hint) {
  try {
    return nlohmann::ordered_json::parse(text);
  } catch (const nlohmann::json::exception& error) {
    throw Error(ErrorKind::config, doing, error.what(), hint);
  }
}

/// Messages that any template can ask for their role.
nlohmann::ordered_json read_messages(std::string_view text, const std::string& key) {
  const std::string doing = "reading " + key;
  const std::string hint = R"(give a JSON array such as [{"role": "user", "content": "Hello"}])";
  nlohmann::ordered_json messages = parsed_json(text, doing, hint);
  TWISTOR_CHECK(messages.is_array() && !messages.empty(), ErrorKind::config, doing,
                "expected an array of messages, and at least one", hint);
  for (std::size_t i = 0; i < messages.size(); ++i) {
    const bool has_role =
        messages[i].is_object() && messages[i].contains("role") && messages[i]["role"].is_string();
    TWISTOR_CHECK(has_role, ErrorKind::config, doing, fmt::format("message {} has no role", i + 1), hint);
  }
  return messages;
}

Evaluator::Frame read_arguments(std::string_view text) {
  Evaluator::Frame out;
  if (text.empty()) return out;
  const std::string doing = "reading prompt.template_arguments",
                    hint = R"(give a JSON object such as {"enable_thinking": false})";
  const nlohmann::ordered_json json = parsed_json(text, doing, hint);
  TWISTOR_CHECK(json.is_object(), ErrorKind::config, doing, "expected an object", hint);
  try {
    for (const auto& [name, value] : json.items())
      out.insert_or_assign(
          name, name == "strftime_now" && value.is_string()
                    ? Value(Value::Storage(chat::Function{name, nullptr, value.get<std::string>()}))
                    : chat::from_json(value));
  } catch (const TemplateProblem& problem) {
    throw Error(ErrorKind::config, doing, problem.what(), hint);
  }
  return out;
}

/// Stands after a message that is to be continued while it is rendered. The space shows whether the template
/// keeps white space at the end of a message.
constexpr std::string_view continuation_mark = "<|twistor continues here|> ";

void mark_last(nlohmann::ordered_json& messages) {
  nlohmann::ordered_json& last = messages.back();
  TWISTOR_CHECK(last.contains("content") && last["content"].is_string(), ErrorKind::config,
                "reading prompt.messages", "the last message is the assistant's and has no text to continue",
                "leave it out, or give it a content");
  last["content"] = last["content"].get<std::string>().append(continuation_mark);
}

/// The text up to the mark.
std::string cut_at_mark(std::string text, const std::string& doing) {
  const std::string_view mark = continuation_mark, bare = mark.substr(0, mark.size() - 1);
  const std::size_t at = text.rfind(bare);
  TWISTOR_CHECK(at != std::string::npos, ErrorKind::config, doing,
                "the last message is the assistant's, and the template does not print it",
                "leave it out, or give the whole text as prompt.text");
  const bool keeps_blanks = text.compare(at, mark.size(), mark) == 0;
  text.resize(at);
  return keeps_blanks ? text : chat::stripped(text, chat::Sides::right, nullptr);
}

}  // namespace

struct ChatTemplate::Parsed {
  chat::Block block;

  /// With the names that transformers gives, and those of `more`. `asks`: the assistant's turn follows.
  [[nodiscard]] std::string run(const nlohmann::ordered_json& messages, const ChatTemplateSource& source,
                                const Evaluator::Frame& more, bool asks, const std::string& doing) const {
    try {
      Evaluator::Frame names{{"messages", chat::from_json(messages)},
                             {"tools", Value::none()},
                             {"documents", Value::none()},
                             {"add_generation_prompt", Value(asks)}};
      if (!source.bos_token.empty()) names.insert_or_assign("bos_token", Value(source.bos_token));
      if (!source.eos_token.empty()) names.insert_or_assign("eos_token", Value(source.eos_token));
      for (const auto& [name, value] : more) names.insert_or_assign(name, value);
      return Evaluator(std::move(names)).render(block);
    } catch (const TemplateProblem& problem) {
      throw Error(ErrorKind::config, doing, problem.what(),
                  "check the messages; or render them elsewhere and give the text as prompt.text");
    } catch (const chat::TemplateRefusal& refusal) {
      throw Error(ErrorKind::config, doing, fmt::format("the template refuses them: {}", refusal.what()));
    }
  }
};

ChatTemplate::ChatTemplate(ChatTemplateSource source) : source_(std::move(source)) {
  const std::string doing = "reading the " + source_.where;
  TWISTOR_CHECK(source_.text.size() <= most_source_bytes, ErrorKind::data, doing,
                fmt::format("it has {} bytes, at most {} are read", source_.text.size(), most_source_bytes));
  try {
    parsed_ = std::make_unique<Parsed>(Parsed{chat::parse_template(source_.text)});
  } catch (const TemplateProblem& problem) {
    throw Error(ErrorKind::data, doing, problem.what(),
                "render the messages elsewhere and give the text as prompt.text");
  }
}

ChatTemplate::~ChatTemplate() = default;
ChatTemplate::ChatTemplate(ChatTemplate&&) noexcept = default;
ChatTemplate& ChatTemplate::operator=(ChatTemplate&&) noexcept = default;

std::string ChatTemplate::render(std::string_view messages, std::string_view arguments) const {
  nlohmann::ordered_json list = read_messages(messages, "prompt.messages");
  const bool continues = list.back()["role"] == "assistant";
  if (continues) mark_last(list);
  const std::string doing = "rendering prompt.messages by the " + source_.where;
  std::string text = parsed_->run(list, source_, read_arguments(arguments), !continues, doing);
  return continues ? cut_at_mark(std::move(text), doing) : text;
}

std::string ChatTemplate::answered(std::string_view messages, const std::string& answer) const {
  nlohmann::ordered_json list = read_messages(messages, "target.messages");
  list.push_back({{"role", "assistant"}, {"content", answer}});
  return parsed_->run(list, source_, {}, false, "rendering target.messages by the " + source_.where);
}

ChatTemplateSource find_chat_template(const fs::path& model) {
  if (fs::is_directory(model)) return template_of_folder(format::find_model_folder(model));
  return template_of_gguf(model);
}

std::string describe_chat_template(const fs::path& model) {
  try {
    ChatTemplateSource source = find_chat_template(model);
    if (source.text.empty()) return "chat template: none\n";
    const ChatTemplate chat(std::move(source));
    return fmt::format("chat template: {}; a user's message Hello becomes {}\n", chat.where(),
                       format::quote(chat.render(R"([{"role": "user", "content": "Hello"}])")));
  } catch (const Error& error) {
    return fmt::format("chat template: not usable, {}\n", error.what());
  }
}

ChatTemplate load_chat_template(const fs::path& model) {
  ChatTemplateSource source = find_chat_template(model);
  TWISTOR_CHECK(!source.text.empty(), ErrorKind::config, "rendering prompt.messages",
                fmt::format("{} has no chat template", model.string()),
                "give the whole text as prompt.text, or put chat_template.jinja beside the model");
  return ChatTemplate(std::move(source));
}

}  // namespace twistor::text
