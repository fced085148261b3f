// SPDX-License-Identifier: Apache-2.0
// Chat templates: a list of messages as the text with which a model was taught to answer.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

namespace twistor::text {

/// What a model's files say about its template.
struct ChatTemplateSource {
  std::string text;   ///< Jinja; empty: the model has none
  std::string where;  ///< for people: "chat_template of /m/tokenizer_config.json"
  std::string bos_token, eos_token;
};

/// From chat_template.jinja or tokenizer_config.json in the model's folder (of several templates the one that
/// is called "default"), or the key tokenizer.chat_template of a GGUF file. *Local.* Throws Error(data) where
/// these are damaged.
[[nodiscard]] ChatTemplateSource find_chat_template(const std::filesystem::path& model);

/// A template that was read. *Local*, immutable. A subset of Jinja, with transformers' settings; what is not
/// in it is refused when the template is read, all of it in one message.
class ChatTemplate {
 public:
  /// Throws Error(data) naming the line, or what is not supported.
  explicit ChatTemplate(ChatTemplateSource source);
  ~ChatTemplate();
  ChatTemplate(ChatTemplate&&) noexcept;
  ChatTemplate& operator=(ChatTemplate&&) noexcept;

  /// The text of the messages, a JSON array of objects with "role" and mostly "content". After it comes the
  /// assistant's turn; if the last message is the assistant's, the text ends with it, to be continued.
  /// `arguments`: a JSON object of more names for the template ("enable_thinking"); may be empty. Its date
  /// "strftime_now" is the day that the template believes it to be; there is no other, since results must not
  /// depend on the day. Throws Error(config) about messages and arguments that are no such JSON, or that the
  /// template refuses.
  [[nodiscard]] std::string render(std::string_view messages, std::string_view arguments = {}) const;
  /// The text of the messages and of one more, the assistant's whole answer. Throws as render().
  [[nodiscard]] std::string answered(std::string_view messages, const std::string& answer) const;
  [[nodiscard]] const std::string& where() const { return source_.where; }
  [[nodiscard]] const std::string& source() const { return source_.text; }

 private:
  struct Parsed;
  ChatTemplateSource source_;
  std::unique_ptr<const Parsed> parsed_;
};

/// A line for people: what the model's template makes of one message, or why it cannot be used. *Local.*
[[nodiscard]] std::string describe_chat_template(const std::filesystem::path& model);

/// The template of a model. *Local.* Throws as find_chat_template() and ChatTemplate() do, and Error(config)
/// where the model has none.
[[nodiscard]] ChatTemplate load_chat_template(const std::filesystem::path& model);

}  // namespace twistor::text
