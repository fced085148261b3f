// SPDX-License-Identifier: Apache-2.0
// Finding added tokens in a text.
#include "twistor/text/added_tokens.hpp"

#include <algorithm>
#include <utility>

#include "twistor/base/error.hpp"
#include "twistor/text/unicode.hpp"

namespace twistor::text {
namespace {

bool stands_alone(std::string_view text, std::size_t begin, std::size_t end) {
  const bool free_left = begin == 0 || !is_word_char(last_code_point(text, begin));
  const bool free_right = end == text.size() || !is_word_char(next_code_point(text, end));
  return free_left && free_right;
}

}  // namespace

AddedTokens::AddedTokens(std::vector<AddedToken> tokens, const Normalizer& normalizer)
    : tokens_(std::move(tokens)) {
  for (std::size_t i = 0; i < tokens_.size(); ++i) {
    TWISTOR_ASSERT(!tokens_[i].content.empty(), "an added token is empty");
    std::string form = tokens_[i].content;
    if (tokens_[i].normalized && normalizer) normalizer(form);
    if (!form.empty())
      (tokens_[i].normalized ? normalized_ : raw_).insert(form, static_cast<std::int64_t>(i));
    by_id_.try_emplace(tokens_[i].id, i);
    forms_.push_back(std::move(form));
  }
}

// White space that a token swallows may have been swallowed by the token before; the next token is looked for
// right after the spelling of the last, white space or not. So parts may overlap, as in the reference.
std::vector<AddedTokens::Part> AddedTokens::split(std::string_view text, const Trie& trie) const {
  std::vector<Part> out;
  std::size_t done = 0;
  std::size_t space_end = 0;  // of the white space that was swallowed last: it is walked through once
  for (std::size_t at = 0; at < text.size();) {
    const Trie::Match match = trie.longest(text.substr(at));
    if (match.value < 0) {
      ++at;
      continue;
    }
    const AddedToken& token = tokens_[static_cast<std::size_t>(match.value)];
    std::size_t begin = at;
    std::size_t end = at = begin + match.size;
    if (token.single_word && !stands_alone(text, begin, end)) continue;
    if (token.lstrip && begin > done) begin = white_space_begin(text, begin, done);
    if (token.rstrip) end = space_end = end < space_end ? space_end : white_space_end(text, end);
    if (begin > done) out.push_back({text.substr(done, begin - done), -1});
    out.push_back({text.substr(begin, end - begin), token.id});
    done = end;
  }
  if (done < text.size()) out.push_back({text.substr(done), -1});
  return out;
}

const std::string* AddedTokens::spelling(std::int64_t id) const {
  const auto found = by_id_.find(id);
  return found == by_id_.end() ? nullptr : &forms_[found->second];
}

}  // namespace twistor::text
