// SPDX-License-Identifier: Apache-2.0
// A chat template as a tree. Private to the text room.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "template_value.hpp"

namespace twistor::text::chat {

enum class ExpressionKind {
  constant,   ///< value
  name,       ///< name
  list,       ///< operands
  dict,       ///< key, value, key, value, ...
  attribute,  ///< operands[0].name
  item,       ///< operands[0][operands[1]]
  slice,      ///< operands[0][operands[1] : operands[2] : operands[3]], constants undefined where left out
  call,       ///< operands[0](operands[1], ...), keywords
  filter,     ///< operands[0] | name(operands[1], ...), keywords
  test,       ///< operands[0] is name(operands[1], ...)
  unary,      ///< name operands[0]
  binary,     ///< operands[0] name operands[1]
  compare,    ///< operands[0] OPERATOR operands[1] OPERATOR ..., operators in keywords
  choice,     ///< operands[1] if operands[0] else operands[2]
};

struct Expression {
  ExpressionKind kind = ExpressionKind::constant;
  int line = 1;
  std::string name{};
  Value value{};
  std::vector<Expression> operands{};
  std::vector<std::pair<std::string, Expression>> keywords{};
  int depth = 0;  ///< of the tree below
};

enum class StatementKind {
  text,        ///< text
  output,      ///< expressions[0]
  condition,   ///< branches: expressions[i], or none for the last one
  loop,        ///< names in expressions[0], if expressions[1]; branches: body, else
  set,         ///< names = expressions[0]
  set_member,  ///< names[0].names[1] = expressions[0]
  set_block,   ///< names[0] = what branches[0] prints
  macro,       ///< names[0](names[1], ...), defaults of the last ones in expressions; branches[0]
  group,       ///< branches[0]
  leave,       ///< the loop
  next,        ///< turn of the loop
};

struct Statement {
  StatementKind kind = StatementKind::text;
  int line = 1;
  std::string text{};
  std::vector<std::string> names{};
  std::vector<Expression> expressions{};
  std::vector<std::vector<Statement>> branches{};
};
using Block = std::vector<Statement>;

/// Throws TemplateProblem with the line, or with the names of all that is not supported.
[[nodiscard]] Block parse_template(std::string_view source);

/// What templates may name. Other names are refused when a template is read.
[[nodiscard]] bool is_filter(std::string_view name);
[[nodiscard]] bool is_test(std::string_view name);
[[nodiscard]] bool is_method(std::string_view name);
[[nodiscard]] bool is_function(std::string_view name);

}  // namespace twistor::text::chat
