// SPDX-License-Identifier: Apache-2.0
// Statements and expressions of chat templates, as Jinja runs them.
#include "template_evaluator.hpp"

#include <fmt/format.h>

#include <cmath>

#include "template_error.hpp"
#include "twistor/format/quote.hpp"

namespace twistor::text::chat {
namespace {

constexpr std::int64_t most_steps = 1000000;  // statements, expressions and turns of loops
constexpr int deepest_evaluation = 1200;

/// Counts how deep evaluation is, for as long as it lives.
class Depth {
 public:
  explicit Depth(int& depth) : depth_(depth) {
    if (++depth_ > deepest_evaluation) throw TemplateProblem("macros and expressions are nested too deep");
  }
  ~Depth() { --depth_; }
  Depth(const Depth&) = delete;
  Depth& operator=(const Depth&) = delete;

 private:
  int& depth_;
};

Value loop_state(std::size_t index, const List& items) {
  const auto i = static_cast<std::int64_t>(index), n = static_cast<std::int64_t>(items.size());
  Dict loop{{"index", Value(i + 1)},    {"index0", Value(i)},
            {"revindex", Value(n - i)}, {"revindex0", Value(n - i - 1)},
            {"first", Value(i == 0)},   {"last", Value(i + 1 == n)},
            {"length", Value(n)},       {"depth", Value(std::int64_t{1})}};
  if (i > 0) loop.emplace_back("previtem", items[index - 1]);
  if (i + 1 < n) loop.emplace_back("nextitem", items[index + 1]);
  return Value(std::move(loop));
}

}  // namespace

std::string Evaluator::render(const Block& block) {
  std::string out;
  run(block, out);
  return out;
}

void Evaluator::step(std::int64_t n) {
  n_steps_ += n;
  if (n_steps_ > most_steps) throw TemplateProblem("it does not end");
}

void Evaluator::print(std::string_view text, std::string& out) const {
  if (out.size() + text.size() > most_template_bytes) throw TemplateProblem("the text is too long");
  out += text;
}

Evaluator::Flow Evaluator::run(const Block& block, std::string& out) {
  for (const Statement& s : block) {
    try {
      step(1);
      if (const Flow flow = run(s, out); flow != Flow::on) return flow;
    } catch (const TemplateProblem& problem) {
      if (problem.has_line) throw;
      throw TemplateProblem(fmt::format("line {}: {}", s.line, problem.what()), true);
    }
  }
  return Flow::on;
}

Evaluator::Flow Evaluator::run(const Statement& s, std::string& out) {
  switch (s.kind) {
    case StatementKind::text:
      print(s.text, out);
      break;
    case StatementKind::output:
      print(printed(evaluate(s.expressions[0])), out);
      break;
    case StatementKind::condition:
      return run_condition(s, out);
    case StatementKind::loop:
      return run_loop(s, out);
    case StatementKind::set:
      assign(s.names, evaluate(s.expressions[0]));
      break;
    case StatementKind::set_member:
      assign_member(s);
      break;
    case StatementKind::set_block: {
      std::string text;
      frames_.emplace_back();
      run(s.branches[0], text);
      frames_.pop_back();
      frames_.back().insert_or_assign(s.names[0], Value(std::move(text)));
      break;
    }
    case StatementKind::macro:
      frames_.back().insert_or_assign(s.names[0], Value(Value::Storage(Function{s.names[0], &s})));
      break;
    case StatementKind::group:
      return run(s.branches[0], out);
    case StatementKind::leave:
      return Flow::leave;
    case StatementKind::next:
      return Flow::next;
  }
  return Flow::on;
}

Evaluator::Flow Evaluator::run_condition(const Statement& s, std::string& out) {
  for (std::size_t i = 0; i < s.branches.size(); ++i)
    if (i >= s.expressions.size() || evaluate(s.expressions[i]).is_true()) return run(s.branches[i], out);
  return Flow::on;
}

/// Those for which the loop's condition holds.
List Evaluator::items_of_loop(const Statement& s) {
  List all = items_of(evaluate(s.expressions[0]));
  if (s.expressions.size() < 2) return all;
  List out;
  for (Value& one : all) {
    step(1);
    frames_.emplace_back();
    assign(s.names, one);
    const bool is_in = evaluate(s.expressions[1]).is_true();
    frames_.pop_back();
    if (is_in) out.push_back(std::move(one));
  }
  return out;
}

Evaluator::Flow Evaluator::run_loop(const Statement& s, std::string& out) {
  const List items = items_of_loop(s);
  for (std::size_t i = 0; i < items.size(); ++i) {
    step(8);  // the members of `loop`
    frames_.emplace_back();
    assign(s.names, items[i]);
    frames_.back().insert_or_assign("loop", loop_state(i, items));
    const Flow flow = run(s.branches[0], out);
    frames_.pop_back();
    if (flow == Flow::leave) break;
  }
  if (items.empty() && s.branches.size() > 1) return run(s.branches[1], out);
  return Flow::on;
}

void Evaluator::assign(const std::vector<std::string>& names, const Value& value) {
  if (names.size() == 1) {
    frames_.back().insert_or_assign(names[0], value);
    return;
  }
  const List parts = items_of(value);
  if (parts.size() != names.size())
    throw TemplateProblem(fmt::format("{} values for {} names", parts.size(), names.size()));
  for (std::size_t i = 0; i < names.size(); ++i) frames_.back().insert_or_assign(names[i], parts[i]);
}

void Evaluator::assign_member(const Statement& s) {
  const Value target = look_up(s.names[0]);
  const auto* space = target.as<std::shared_ptr<Namespace>>();
  if (space == nullptr)
    throw TemplateProblem(fmt::format("only namespaces can be changed, and {} is {}",
                                      format::quote(s.names[0]), defined_name(target)));
  Value value = evaluate(s.expressions[0]);
  if (value.is<std::shared_ptr<Namespace>>())
    throw TemplateProblem("a namespace inside a namespace is not supported");
  Dict& members = (*space)->members;
  const auto found = std::ranges::find(members, s.names[1], &Member::first);
  if (found == members.end())
    members.emplace_back(s.names[1], std::move(value));
  else
    found->second = std::move(value);
}

Value Evaluator::look_up(const std::string& name) const {
  for (auto frame = frames_.rbegin(); frame != frames_.rend(); ++frame)
    if (const auto found = frame->find(name); found != frame->end()) return found->second;
  if (is_function(name)) return Value(Value::Storage(Function{name}));
  return Value::undefined(format::quote(name));
}

Value Evaluator::evaluate(const Expression& e) {
  const Depth depth(depth_);
  Value value = evaluate_kind(e);
  // Work is counted by what it makes.
  if (const auto* text = value.as<std::string>()) step(static_cast<std::int64_t>(text->size() / 256));
  if (const List* items = value.list()) step(static_cast<std::int64_t>(items->size() / 16));
  step(1);
  return value;
}

Value Evaluator::evaluate_kind(const Expression& e) {
  switch (e.kind) {
    case ExpressionKind::constant:
      return e.value;
    case ExpressionKind::name:
      return look_up(e.name);
    case ExpressionKind::list:
      return Value(arguments(e, 0).positional);
    case ExpressionKind::dict:
      return dict(e);
    case ExpressionKind::attribute:
      return member_of(evaluate(e.operands[0]), e.name);
    case ExpressionKind::item:
      return item(e);
    case ExpressionKind::slice:
      return slice(e);
    case ExpressionKind::call:
      return call(e);
    case ExpressionKind::unary:
      return unary(e);
    case ExpressionKind::binary:
      return binary(e);
    case ExpressionKind::compare:
      return compare(e);
    case ExpressionKind::choice:
      return evaluate(e.operands[evaluate(e.operands[0]).is_true() ? 1 : 2]);
    case ExpressionKind::filter:
    case ExpressionKind::test:
      break;
  }
  const Value x = evaluate(e.operands[0]);
  const Arguments given = arguments(e, 1);
  return e.kind == ExpressionKind::filter ? apply_filter(e.name, x, given)
                                          : Value(apply_test(e.name, x, given));
}

/// The operands of an expression from one on, and its keywords.
Arguments Evaluator::arguments(const Expression& e, std::size_t first) {
  Arguments out;
  for (std::size_t i = first; i < e.operands.size(); ++i) out.positional.push_back(evaluate(e.operands[i]));
  for (const auto& [name, value] : e.keywords) out.named.emplace_back(name, evaluate(value));
  return out;
}

Value Evaluator::dict(const Expression& e) {
  Dict out;
  for (std::size_t i = 0; i + 1 < e.operands.size(); i += 2) {
    const Value key = evaluate(e.operands[i]);
    const std::string& name = text_of(key, "a key");
    const auto found = std::ranges::find(out, name, &Member::first);
    if (found == out.end())
      out.emplace_back(name, evaluate(e.operands[i + 1]));
    else
      found->second = evaluate(e.operands[i + 1]);
  }
  return Value(std::move(out));
}

Value Evaluator::item(const Expression& e) {
  const Value object = evaluate(e.operands[0]), key = evaluate(e.operands[1]);
  if (object.is<Undefined>()) return member_of(object, "[]");
  if (object.list() == nullptr && !object.is<std::string>())
    return key.is<std::string>() ? member_of(object, *key.as<std::string>()) : Value::undefined("a member");
  if (!key.is<std::int64_t>()) return Value::undefined("an item");
  const List items = items_of(object);
  const std::int64_t n = static_cast<std::int64_t>(items.size()), i = *key.as<std::int64_t>();
  if (i >= n || i < -n) return Value::undefined(fmt::format("item {}", i));
  return items[static_cast<std::size_t>(i < 0 ? i + n : i)];
}

/// Python's object[first:end:step].
Value Evaluator::slice(const Expression& e) {
  const Value object = evaluate(e.operands[0]);
  if (const auto* missing = object.as<Undefined>())
    throw TemplateProblem(missing->what + " is undefined, so it has no parts");
  if (object.list() == nullptr && !object.is<std::string>())
    throw TemplateProblem(fmt::format("{} has no parts", kind_of(object)));
  const auto bound = [&](std::size_t which, std::int64_t otherwise) {
    const Value value = evaluate(e.operands[which]);
    return value.is<Undefined>() && e.operands[which].kind == ExpressionKind::constant
               ? otherwise
               : whole_or(&value, otherwise, "a bound");
  };
  const List items = items_of(object);
  const auto n = static_cast<std::int64_t>(items.size());
  const std::int64_t step = bound(3, 1);
  if (step == 0) throw TemplateProblem("the step of a slice is 0");
  const std::int64_t lowest = step > 0 ? 0 : -1, highest = step > 0 ? n : n - 1;
  const auto place = [&](std::size_t which, std::int64_t otherwise) {
    const std::int64_t missing = std::numeric_limits<std::int64_t>::min(), given = bound(which, missing);
    if (given == missing) return otherwise;
    return std::clamp(given < 0 ? given + n : given, lowest, highest);
  };
  const std::int64_t first = place(1, step > 0 ? lowest : highest),
                     end = place(2, step > 0 ? highest : lowest);
  List out;
  for (std::int64_t i = first; step > 0 ? i < end : i > end;) {
    out.push_back(items[static_cast<std::size_t>(i)]);
    if (step > 0 ? step > n : step < -n) break;  // i + step might overflow
    i += step;
  }
  return object.is<std::string>() ? joined(out, "", nullptr) : Value(std::move(out));
}

Value Evaluator::call(const Expression& e) {
  const Expression& callee = e.operands[0];
  Arguments given = arguments(e, 1);
  if (callee.kind == ExpressionKind::attribute)
    return call_method(callee.name, evaluate(callee.operands[0]), given);
  const Value function = look_up(callee.name);
  const auto* found = function.as<Function>();
  if (found == nullptr && callee.name == "strftime_now")
    throw TemplateProblem(
        R"(the text depends on the day; give one: prompt.template_arguments = {"strftime_now": "2024-07-26"})");
  if (found == nullptr)
    throw TemplateProblem(
        function.is<Undefined>()
            ? fmt::format("the function {} is not supported", format::quote(callee.name))
            : fmt::format("{} is {} and no function", format::quote(callee.name), kind_of(function)));
  if (found->name == "strftime_now") return formatted_date(found->date, given);
  return found->macro != nullptr ? call_macro(*found->macro, std::move(given))
                                 : call_function(found->name, given);
}

Value Evaluator::call_macro(const Statement& macro, Arguments given) {
  const Depth depth(depth_);
  const std::size_t n = macro.names.size() - 1;
  if (given.positional.size() > n)
    throw TemplateProblem(
        fmt::format("the macro {} takes {} arguments, got {}", macro.names[0], n, given.positional.size()));
  // Macros see the template's own names, not those of who calls.
  std::vector<Frame> callers = std::move(frames_);
  frames_ = {std::move(callers.front()), Frame{}};
  const std::size_t n_defaults = macro.expressions.size();
  for (std::size_t i = 0; i < n; ++i) {
    const std::string& name = macro.names[i + 1];
    const auto named = std::ranges::find(given.named, name, &Member::first);
    Value value = i < given.positional.size()  ? given.positional[i]
                  : named != given.named.end() ? named->second
                  : i + n_defaults >= n        ? evaluate(macro.expressions[i + n_defaults - n])
                                               : Value::undefined(format::quote(name));
    frames_.back().insert_or_assign(name, std::move(value));
  }
  for (const auto& [name, value] : given.named)
    if (frames_.back().find(name) == frames_.back().end())
      throw TemplateProblem(
          fmt::format("the macro {} has no parameter {}", macro.names[0], format::quote(name)));
  std::string text;
  run(macro.branches[0], text);
  callers.front() = std::move(frames_.front());
  frames_ = std::move(callers);
  return Value(std::move(text));
}

Value Evaluator::unary(const Expression& e) {
  const Value x = evaluate(e.operands[0]);
  if (e.name == "not") return Value(!x.is_true());
  return calculate(e.name, Value(std::int64_t{0}), x);
}

Value Evaluator::binary(const Expression& e) {
  Value left = evaluate(e.operands[0]);
  if (e.name == "or") return left.is_true() ? left : evaluate(e.operands[1]);
  if (e.name == "and") return left.is_true() ? evaluate(e.operands[1]) : left;
  const Value right = evaluate(e.operands[1]);
  if (e.name != "~") return calculate(e.name, left, right);
  std::string text;
  print(printed(left), text);
  print(printed(right), text);
  return Value(std::move(text));
}

Value Evaluator::compare(const Expression& e) {
  Value left = evaluate(e.operands[0]);
  for (const auto& [sign, operand] : e.keywords) {
    Value right = evaluate(operand);
    if (!holds(sign, left, right)) return Value(false);
    left = std::move(right);
  }
  return Value(true);
}

}  // namespace twistor::text::chat
