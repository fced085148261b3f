// SPDX-License-Identifier: Apache-2.0
// Parsing the expressions of a chat template, from what binds least to what binds most.
#include "template_expressions.hpp"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <utility>

#include "template_error.hpp"

namespace twistor::text::chat {
namespace {

constexpr int deepest_nesting = 100, longest_chain = 500;

/// Chains such as a + b + c + ... are deep trees, which evaluation walks by recursion.
Expression settled(Expression e) {
  for (const Expression& operand : e.operands) e.depth = std::max(e.depth, operand.depth + 1);
  for (const auto& keyword : e.keywords) e.depth = std::max(e.depth, keyword.second.depth + 1);
  if (e.depth > longest_chain)
    throw TemplateProblem(
        fmt::format("line {}: an expression is a chain of more than {} parts", e.line, longest_chain));
  return e;
}

}  // namespace

void TokenStream::fail(const std::string& problem) const {
  throw TemplateProblem(fmt::format("line {}: {}", token().line, problem));
}

void TokenStream::fail_expected(std::string_view wanted) const {
  constexpr std::array<std::string_view, 4> ends{"text", "{{", "}}", "{%"};
  const auto kind = static_cast<std::size_t>(token().kind);
  const std::string met = kind < ends.size()                   ? std::string(ends[kind])
                          : token().kind == TokenKind::tag_end ? "%}"
                          : token().kind == TokenKind::end     ? "the end"
                                                               : format::quote(token().value);
  fail(fmt::format("expected {}, got {}", wanted, met));
}
void TokenStream::note(bool is_known, std::string_view kind, const std::string& name) {
  if (!is_known)
    unsupported_.insert(fmt::format("the {} {} (line {})", kind, format::quote(name), token().line));
}

TokenStream::Level::Level(TokenStream& parser) : parser_(parser) {
  if (++parser.depth_ > deepest_nesting)
    parser.fail(fmt::format("nested more than {} deep", deepest_nesting));
}

Expression ExpressionParser::make(ExpressionKind kind, std::string name,
                                  std::vector<Expression> operands) const {
  return settled({kind, token().line, std::move(name), {}, std::move(operands), {}, 0});
}
Expression ExpressionParser::constant(Value value) const {
  return {ExpressionKind::constant, token().line, {}, std::move(value), {}, {}, 0};
}
Expression ExpressionParser::binary(const std::string& sign, Expression left, Expression right) const {
  std::vector<Expression> operands;
  operands.push_back(std::move(left));
  operands.push_back(std::move(right));
  return make(ExpressionKind::binary, sign, std::move(operands));
}

Expression ExpressionParser::expression_or_tuple() {
  Expression first = expression();
  if (!is_sign(",")) return first;
  Expression out = make(ExpressionKind::list, "", {});
  out.operands.push_back(std::move(first));
  while (take_sign(",") && token().kind != TokenKind::output_end && token().kind != TokenKind::tag_end)
    out.operands.push_back(expression());
  return settled(std::move(out));
}

Expression ExpressionParser::expression() {
  const Level level(*this);
  Expression value = disjunction();
  while (take_word("if")) {
    Expression out = make(ExpressionKind::choice, "", {});
    out.operands.push_back(disjunction());
    out.operands.push_back(std::move(value));
    out.operands.push_back(take_word("else") ? expression()
                                             : constant(Value::undefined("a choice without else")));
    value = settled(std::move(out));
  }
  return value;
}

Expression ExpressionParser::disjunction() {
  Expression left = conjunction();
  while (take_word("or")) left = binary("or", std::move(left), conjunction());
  return left;
}
Expression ExpressionParser::conjunction() {
  Expression left = negation();
  while (take_word("and")) left = binary("and", std::move(left), negation());
  return left;
}
Expression ExpressionParser::negation() {
  const Level level(*this);
  if (!take_word("not")) return comparison();
  std::vector<Expression> operand;
  operand.push_back(negation());
  return make(ExpressionKind::unary, "not", std::move(operand));
}

Expression ExpressionParser::comparison() {
  Expression first = sum();
  Expression out = make(ExpressionKind::compare, "", {});
  for (;;) {
    std::string sign;
    if (token().kind == TokenKind::sign &&
        (is_sign("==") || is_sign("!=") || is_sign("<") || is_sign(">") || is_sign("<=") || is_sign(">=")))
      sign = tokens_[at_++].value;
    else if (take_word("in"))
      sign = "in";
    else if (is_word("not") && is_word("in", 1))
      at_ += 2, sign = "not in";
    else
      break;
    if (out.operands.empty()) out.operands.push_back(std::move(first));
    out.keywords.emplace_back(sign, sum());
  }
  return out.operands.empty() ? std::move(first) : settled(std::move(out));
}

Expression ExpressionParser::sum() {
  Expression left = joined();
  while (is_sign("+") || is_sign("-")) {
    const std::string sign = tokens_[at_++].value;
    left = binary(sign, std::move(left), joined());
  }
  return left;
}
Expression ExpressionParser::joined() {
  Expression left = product();
  while (take_sign("~")) left = binary("~", std::move(left), product());
  return left;
}
Expression ExpressionParser::product() {
  Expression left = power();
  while (is_sign("*") || is_sign("/") || is_sign("//") || is_sign("%")) {
    const std::string sign = tokens_[at_++].value;
    left = binary(sign, std::move(left), power());
  }
  return left;
}
Expression ExpressionParser::power() {
  Expression left = unary(true);
  while (is_sign("**")) {
    note(false, "operator", "**");
    ++at_;
    left = binary("**", std::move(left), unary(true));
  }
  return left;
}

Expression ExpressionParser::unary(bool has_filters) {
  const Level level(*this);
  Expression out;
  if (is_sign("-") || is_sign("+")) {
    const std::string sign = tokens_[at_++].value;
    std::vector<Expression> operand;
    operand.push_back(unary(false));
    out = make(ExpressionKind::unary, sign, std::move(operand));
  } else {
    out = postfix(primary());
  }
  return has_filters ? filtered(std::move(out)) : std::move(out);
}

Expression ExpressionParser::primary() {
  const Token& first = token();
  switch (first.kind) {
    case TokenKind::name:
      ++at_;
      return named(first.value);
    case TokenKind::string: {
      std::string all;
      while (token().kind == TokenKind::string) all += tokens_[at_++].value;
      return constant(Value(std::move(all)));
    }
    case TokenKind::integer:
    case TokenKind::number:
      ++at_;
      return number(first);
    default:
      break;
  }
  if (take_sign("(")) return parenthesised();
  if (take_sign("[")) {
    Expression out = make(ExpressionKind::list, "", {});
    items(out, "]");
    return settled(std::move(out));
  }
  if (take_sign("{")) return dict();
  fail_expected("an expression");
}

Expression ExpressionParser::named(const std::string& name) const {
  if (name == "true" || name == "True") return constant(Value(true));
  if (name == "false" || name == "False") return constant(Value(false));
  if (name == "none" || name == "None") return constant(Value::none());
  return make(ExpressionKind::name, name, {});
}

Expression ExpressionParser::number(const Token& t) const {
  if (t.kind == TokenKind::integer) {
    std::int64_t value = 0;
    const auto [end, error] = std::from_chars(t.value.data(), t.value.data() + t.value.size(), value);
    if (error != std::errc()) fail("an integer is too large");
    return constant(Value(value));
  }
  double value = 0;
  const auto [end, error] = std::from_chars(t.value.data(), t.value.data() + t.value.size(), value);
  if (error != std::errc()) fail("a number is out of range");
  return constant(Value(Value::Storage(value)));
}

Expression ExpressionParser::parenthesised() {
  Expression out = make(ExpressionKind::list, "", {});
  if (take_sign(")")) return out;
  Expression first = expression();
  if (take_sign(")")) return first;
  out.operands.push_back(std::move(first));
  need_sign(",");
  items(out, ")");
  return settled(std::move(out));
}

/// Expressions up to `end`, a comma after the last one allowed.
void ExpressionParser::items(Expression& out, std::string_view end) {
  while (!take_sign(end)) {
    out.operands.push_back(expression());
    if (!is_sign(end)) need_sign(",");
  }
}

Expression ExpressionParser::dict() {
  Expression out = make(ExpressionKind::dict, "", {});
  while (!take_sign("}")) {
    out.operands.push_back(expression());
    need_sign(":");
    out.operands.push_back(expression());
    if (!is_sign("}")) need_sign(",");
  }
  return settled(std::move(out));
}

Expression ExpressionParser::postfix(Expression value) {
  for (;;) {
    std::vector<Expression> operands;
    if (take_sign(".")) {
      operands.push_back(std::move(value));
      value = make(ExpressionKind::attribute, need_name(), std::move(operands));
    } else if (take_sign("[")) {
      operands.push_back(std::move(value));
      value = subscript(std::move(operands));
    } else if (is_sign("(")) {
      value = call(std::move(value));
    } else {
      return value;
    }
  }
}

Expression ExpressionParser::subscript(std::vector<Expression> operands) {
  const auto part = [&] {
    operands.push_back(is_sign(":") || is_sign("]") ? constant(Value::undefined("")) : expression());
  };
  part();
  if (take_sign("]")) {
    if (operands[1].kind == ExpressionKind::constant && operands[1].value.is<Undefined>())
      fail_expected("an index");
    return make(ExpressionKind::item, "", std::move(operands));
  }
  need_sign(":");
  part();
  if (take_sign(":"))
    part();
  else
    operands.push_back(constant(Value::undefined("")));
  need_sign("]");
  return make(ExpressionKind::slice, "", std::move(operands));
}

Expression ExpressionParser::call(Expression function) {
  if (function.kind == ExpressionKind::attribute)
    note(is_method(function.name), "method", function.name);
  else if (function.kind != ExpressionKind::name)
    fail("only names and attributes can be called");
  Expression out = make(ExpressionKind::call, "", {});
  out.operands.push_back(std::move(function));
  arguments(out);
  return out;
}

void ExpressionParser::arguments(Expression& out) {
  need_sign("(");
  while (!take_sign(")")) {
    if (is_sign("*") || is_sign("**")) fail("arguments by * are not supported");
    if (token().kind == TokenKind::name && is(TokenKind::sign, "=", 1)) {
      const std::string name = need_name();
      ++at_;
      out.keywords.emplace_back(name, expression());
    } else {
      if (!out.keywords.empty()) fail("an argument stands after one with a name");
      out.operands.push_back(expression());
    }
    if (!is_sign(")")) need_sign(",");
  }
  out = settled(std::move(out));
}

Expression ExpressionParser::filtered(Expression value) {
  for (;;) {
    std::vector<Expression> operands;
    if (take_sign("|")) {
      operands.push_back(std::move(value));
      const std::string name = need_name();
      note(is_filter(name), "filter", name);
      value = make(ExpressionKind::filter, name, std::move(operands));
      if (is_sign("(")) arguments(value);
    } else if (take_word("is")) {
      operands.push_back(std::move(value));
      value = test(std::move(operands));
    } else if (is_sign("(")) {
      value = call(std::move(value));
    } else {
      return value;
    }
  }
}

Expression ExpressionParser::test(std::vector<Expression> operands) {
  const bool is_negated = take_word("not");
  const std::string name = need_name();
  note(is_test(name), "test", name);
  Expression out = make(ExpressionKind::test, name, std::move(operands));
  if (is_sign("(")) {
    arguments(out);
  } else if (begins_operand()) {
    out.operands.push_back(postfix(primary()));
    out = settled(std::move(out));
  }
  if (!is_negated) return out;
  std::vector<Expression> operand;
  operand.push_back(std::move(out));
  return make(ExpressionKind::unary, "not", std::move(operand));
}

/// Whether what follows a test without brackets is its argument.
bool ExpressionParser::begins_operand() const {
  switch (token().kind) {
    case TokenKind::string:
    case TokenKind::integer:
    case TokenKind::number:
      return true;
    case TokenKind::sign:
      return is_sign("[") || is_sign("{");
    case TokenKind::name: {
      static constexpr std::array<std::string_view, 3> words{"else", "or", "and"};
      return std::ranges::find(words, token().value) == words.end();
    }
    default:
      return false;
  }
}

}  // namespace twistor::text::chat
