// SPDX-License-Identifier: Apache-2.0
// Running a chat template. Private to the text room.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "template_builtins.hpp"
#include "template_syntax.hpp"

namespace twistor::text::chat {

/// One rendering. What a template may do is bounded, because it comes from somebody else's file.
class Evaluator {
 public:
  using Frame = std::map<std::string, Value, std::less<>>;
  explicit Evaluator(Frame globals) { frames_.push_back(std::move(globals)); }

  /// Throws TemplateProblem with the line, or TemplateRefusal.
  [[nodiscard]] std::string render(const Block& block);

 private:
  enum class Flow { on, leave, next };
  Flow run(const Block& block, std::string& out);
  Flow run(const Statement& s, std::string& out);
  Flow run_condition(const Statement& s, std::string& out);
  Flow run_loop(const Statement& s, std::string& out);
  [[nodiscard]] List items_of_loop(const Statement& s);
  void assign(const std::vector<std::string>& names, const Value& value);
  void assign_member(const Statement& s);
  void print(std::string_view text, std::string& out) const;

  void step(std::int64_t n);

  [[nodiscard]] Value evaluate(const Expression& e);
  [[nodiscard]] Value evaluate_kind(const Expression& e);
  [[nodiscard]] Value look_up(const std::string& name) const;
  [[nodiscard]] Value item(const Expression& e);
  [[nodiscard]] Value slice(const Expression& e);
  [[nodiscard]] Value call(const Expression& e);
  [[nodiscard]] Value call_macro(const Statement& macro, Arguments arguments);
  [[nodiscard]] Value unary(const Expression& e);
  [[nodiscard]] Value binary(const Expression& e);
  [[nodiscard]] Value compare(const Expression& e);
  [[nodiscard]] Value dict(const Expression& e);
  [[nodiscard]] Arguments arguments(const Expression& e, std::size_t first);

  std::vector<Frame> frames_;  ///< the template's, then those of the loops and macros that run
  std::int64_t n_steps_ = 0;
  int depth_ = 0;
};

}  // namespace twistor::text::chat
