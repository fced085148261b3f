// SPDX-License-Identifier: Apache-2.0
// Walking over a chat template's tokens, and its expressions. Private to the text room.
#pragma once

#include <algorithm>
#include <set>

#include "template_lexer.hpp"
#include "template_syntax.hpp"
#include "twistor/format/quote.hpp"

namespace twistor::text::chat {

/// The tokens and where in them the parser is; who parses derives from it.
class TokenStream {
 protected:
  explicit TokenStream(std::string_view source) : tokens_(tokens_of_template(source)) {}
  ~TokenStream() = default;

  [[nodiscard]] const Token& token(std::size_t ahead = 0) const {
    return tokens_[std::min(at_ + ahead, tokens_.size() - 1)];
  }
  [[nodiscard]] bool is(TokenKind kind, std::string_view value, std::size_t ahead = 0) const {
    return token(ahead).kind == kind && token(ahead).value == value;
  }
  [[nodiscard]] bool is_sign(std::string_view value) const { return is(TokenKind::sign, value); }
  [[nodiscard]] bool is_word(std::string_view value, std::size_t ahead = 0) const {
    return is(TokenKind::name, value, ahead);
  }
  bool take_sign(std::string_view value) {
    const bool found = is_sign(value);
    at_ += found ? 1 : 0;
    return found;
  }
  bool take_word(std::string_view value) {
    const bool found = is_word(value);
    at_ += found ? 1 : 0;
    return found;
  }
  void need_sign(std::string_view value) {
    if (!take_sign(value)) fail_expected(format::quote(std::string(value)));
  }
  void need_word(std::string_view value) {
    if (!take_word(value)) fail_expected(format::quote(std::string(value)));
  }
  void need(TokenKind kind, std::string_view wanted) {
    if (token().kind != kind) fail_expected(wanted);
    ++at_;
  }
  std::string need_name() {
    if (token().kind != TokenKind::name) fail_expected("a name");
    return tokens_[at_++].value;
  }
  void end_tag() { need(TokenKind::tag_end, "'%}'"); }
  [[noreturn]] void fail(const std::string& problem) const;
  [[noreturn]] void fail_expected(std::string_view wanted) const;
  /// Keeps what is not supported for one message about all of it.
  void note(bool is_known, std::string_view kind, const std::string& name);

  /// One level deeper into statements or expressions, for as long as it lives.
  class Level {
   public:
    explicit Level(TokenStream& parser);
    ~Level() { --parser_.depth_; }
    Level(const Level&) = delete;
    Level& operator=(const Level&) = delete;

   private:
    TokenStream& parser_;
  };

  std::vector<Token> tokens_;
  std::size_t at_ = 0;
  int depth_ = 0;
  std::set<std::string> unsupported_;
};

/// Expressions with Jinja's precedences.
class ExpressionParser : protected TokenStream {
 protected:
  using TokenStream::TokenStream;
  ~ExpressionParser() = default;

  Expression expression();
  /// The same, or several with commas between them, which are a list.
  Expression expression_or_tuple();
  /// One without "a if b else c".
  Expression disjunction();

 private:
  Expression make(ExpressionKind kind, std::string name, std::vector<Expression> operands) const;
  Expression constant(Value value) const;
  Expression binary(const std::string& sign, Expression left, Expression right) const;
  Expression conjunction();
  Expression negation();
  Expression comparison();
  Expression sum();
  Expression joined();
  Expression product();
  Expression power();
  Expression unary(bool has_filters);
  Expression primary();
  Expression named(const std::string& name) const;
  Expression number(const Token& t) const;
  Expression parenthesised();
  void items(Expression& out, std::string_view end);
  Expression dict();
  Expression postfix(Expression value);
  Expression subscript(std::vector<Expression> operands);
  Expression call(Expression function);
  void arguments(Expression& out);
  Expression filtered(Expression value);
  Expression test(std::vector<Expression> operands);
  [[nodiscard]] bool begins_operand() const;
};

}  // namespace twistor::text::chat
