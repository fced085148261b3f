// SPDX-License-Identifier: Apache-2.0
// From tokens to the tree of a chat template.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>
#include <initializer_list>
#include <utility>

#include "template_error.hpp"
#include "template_expressions.hpp"

namespace twistor::text::chat {
namespace {

class Parser : private ExpressionParser {
 public:
  explicit Parser(std::string_view source) : ExpressionParser(source) {}

  Block run() {
    Block all = block({});
    if (!unsupported_.empty())
      throw TemplateProblem(fmt::format("these are not supported: {}", fmt::join(unsupported_, ", ")));
    return all;
  }

 private:
  /// Up to a tag with one of these words, which is not taken, or to the end if there are none.
  Block block(std::initializer_list<std::string_view> ends) {
    const Level level(*this);
    Block out;
    for (;;) {
      const Token& first = token();
      if (first.kind == TokenKind::end) {
        if (ends.size() != 0)
          fail(fmt::format("a block has no {}", format::quote(std::string(*(ends.end() - 1)))));
        return out;
      }
      if (first.kind == TokenKind::text) {
        out.push_back({StatementKind::text, first.line, first.value});
        ++at_;
      } else if (first.kind == TokenKind::output_begin) {
        ++at_;
        Statement s{StatementKind::output, first.line};
        s.expressions.push_back(expression_or_tuple());
        need(TokenKind::output_end, "'}}'");
        out.push_back(std::move(s));
      } else {
        const bool is_end = std::ranges::any_of(ends, [&](std::string_view end) { return is_word(end, 1); });
        if (is_end) return out;
        ++at_;
        statement(out);
      }
    }
  }

  void statement(Block& out) {
    Statement s;
    s.line = token().line;
    const std::string word = need_name();
    if (word == "if") {
      condition(s);
    } else if (word == "for") {
      loop(s);
    } else if (word == "set") {
      set(s);
    } else if (word == "macro") {
      macro(s);
    } else if (word == "generation") {  // marks what the assistant said, for those who train
      s.kind = StatementKind::group;
      body(s, {"endgeneration"});
    } else if ((word == "break" || word == "continue") && loops_ > 0) {
      s.kind = word == "break" ? StatementKind::leave : StatementKind::next;
      end_tag();
    } else {
      --at_;
      static constexpr std::array<std::string_view, 8> known{"elif",   "else",     "endif", "endfor",
                                                             "endset", "endmacro", "break", "continue"};
      if (std::ranges::find(known, word) != known.end())
        fail(fmt::format("{} stands outside of its block", format::quote(word)));
      fail(fmt::format(
          "the tag {} is not supported (there are if, for, set, macro, break, continue, generation)",
          format::quote(word)));
    }
    out.push_back(std::move(s));
  }

  /// The rest of the tag, a block, and the tag that ends it.
  void body(Statement& s, std::initializer_list<std::string_view> ends) {
    end_tag();
    s.branches.push_back(block(ends));
    at_ += 2;  // "{%" and the word
    end_tag();
  }

  void condition(Statement& s) {
    s.kind = StatementKind::condition;
    s.expressions.push_back(expression_or_tuple());
    for (;;) {
      end_tag();
      s.branches.push_back(block({"elif", "else", "endif"}));
      ++at_;
      if (take_word("elif")) {
        if (s.branches.size() > s.expressions.size()) fail("'elif' stands after 'else'");
        s.expressions.push_back(expression_or_tuple());
      } else if (take_word("else")) {
        if (s.branches.size() > s.expressions.size()) fail("'else' stands after 'else'");
      } else {
        break;
      }
    }
    need_word("endif");
    end_tag();
  }

  void loop(Statement& s) {
    s.kind = StatementKind::loop;
    do s.names.push_back(need_name());
    while (take_sign(","));
    need_word("in");
    s.expressions.push_back(disjunction());
    if (take_word("if")) s.expressions.push_back(expression());
    if (is_word("recursive")) note(false, "word", "recursive");
    take_word("recursive");
    end_tag();
    ++loops_;
    s.branches.push_back(block({"else", "endfor"}));
    --loops_;
    ++at_;
    if (take_word("else")) {
      end_tag();
      s.branches.push_back(block({"endfor"}));
      ++at_;
    }
    need_word("endfor");
    end_tag();
  }

  void set(Statement& s) {
    s.kind = StatementKind::set;
    s.names.push_back(need_name());
    if (take_sign(".")) {
      s.kind = StatementKind::set_member;
      s.names.push_back(need_name());
    } else {
      while (take_sign(",")) s.names.push_back(need_name());
    }
    if (take_sign("=")) {
      s.expressions.push_back(expression_or_tuple());
      return end_tag();
    }
    if (s.kind != StatementKind::set || s.names.size() != 1) fail_expected("'='");
    s.kind = StatementKind::set_block;
    body(s, {"endset"});
  }

  void macro(Statement& s) {
    s.kind = StatementKind::macro;
    s.names.push_back(need_name());
    need_sign("(");
    while (!take_sign(")")) {
      if (s.names.size() > 1) need_sign(",");
      s.names.push_back(need_name());
      if (take_sign("="))
        s.expressions.push_back(expression());
      else if (!s.expressions.empty())
        fail("a parameter without a default stands after one that has one");
    }
    const int loops = std::exchange(loops_, 0);
    body(s, {"endmacro"});
    loops_ = loops;
  }

  int loops_ = 0;
};

}  // namespace

Block parse_template(std::string_view source) {
  return Parser(source).run();
}

}  // namespace twistor::text::chat
