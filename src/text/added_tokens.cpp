// Finding added tokens in raw text.
#include "twistor/text/added_tokens.hpp"

#include <algorithm>
#include <utility>

#include "twistor/base/error.hpp"
#include "twistor/text/unicode.hpp"

namespace twistor::text {
namespace {

std::size_t first_byte(std::string_view text) {
  return static_cast<unsigned char>(text.front());
}

// The code point that ends just before `end` > 0.
CodePoint last_code_point(std::string_view text, std::size_t end) {
  for (std::size_t size = std::min<std::size_t>(4, end); size > 1; --size) {
    const CodePoint point = next_code_point(text.substr(0, end), end - size);
    if (point.is_valid && point.size == size) return point;
  }
  return next_code_point(text.substr(0, end), end - 1);
}

bool stands_alone(std::string_view text, std::size_t begin, std::size_t end) {
  const bool free_left = begin == 0 || !is_word_char(last_code_point(text, begin));
  const bool free_right = end == text.size() || !is_word_char(next_code_point(text, end));
  return free_left && free_right;
}

}  // namespace

AddedTokens::AddedTokens(std::vector<AddedToken> tokens) : tokens_(std::move(tokens)) {
  for (std::size_t i = 0; i < tokens_.size(); ++i) {
    TWISTOR_ASSERT(!tokens_[i].content.empty(), "an added token is empty");
    passes_[tokens_[i].normalized ? 1 : 0][first_byte(tokens_[i].content)].push_back(i);
    by_id_.try_emplace(tokens_[i].id, i);
  }
  for (ByFirstByte& pass : passes_)
    for (auto& indices : pass)
      std::stable_sort(indices.begin(), indices.end(), [&](std::size_t a, std::size_t b) {
        return tokens_[a].content.size() > tokens_[b].content.size();
      });
}

void AddedTokens::split_pass(std::string_view text, const ByFirstByte& pass, std::vector<Part>& out) const {
  std::size_t done = 0;
  for (std::size_t at = 0; at < text.size();) {
    const AddedToken* match = nullptr;
    for (const std::size_t index : pass[first_byte(text.substr(at))])
      if (text.substr(at).starts_with(tokens_[index].content)) {
        match = &tokens_[index];
        break;
      }
    if (match == nullptr) {
      ++at;
      continue;
    }
    std::size_t begin = at;
    std::size_t end = at + match->content.size();
    at = end;
    if (match->single_word && !stands_alone(text, begin, end)) continue;
    while (match->lstrip && begin > done) {
      const CodePoint before = last_code_point(text, begin);
      if (char_class(before) != CharClass::space) break;
      begin -= before.size;
    }
    while (match->rstrip && end < text.size()) {
      const CodePoint after = next_code_point(text, end);
      if (char_class(after) != CharClass::space) break;
      end += after.size;
    }
    if (begin > done) out.push_back({text.substr(done, begin - done), -1});
    out.push_back({text.substr(begin, end - begin), match->id});
    done = at = end;
  }
  if (done < text.size()) out.push_back({text.substr(done), -1});
}

std::vector<AddedTokens::Part> AddedTokens::split(std::string_view text) const {
  std::vector<Part> raw;
  split_pass(text, passes_[0], raw);
  std::vector<Part> out;
  for (const Part& part : raw)
    if (part.id >= 0)
      out.push_back(part);
    else
      split_pass(part.text, passes_[1], out);
  return out;
}

const AddedToken* AddedTokens::find(std::int64_t id) const {
  const auto found = by_id_.find(id);
  return found == by_id_.end() ? nullptr : &tokens_[found->second];
}

}  // namespace twistor::text
