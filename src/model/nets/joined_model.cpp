// SPDX-License-Identifier: Apache-2.0
// Models side by side, and the cache that keeps theirs in step.
#include "twistor/model/joined_model.hpp"

#include <ATen/core/Tensor.h>
#include <ATen/ops/cat.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "twistor/base/digest.hpp"
#include "twistor/base/error.hpp"
#include "twistor/model/absorbing.hpp"

namespace twistor::model {
namespace {

/// The caches of all members, which hold the same sequences in the same order.
class JoinedCache final : public Cache {
 public:
  explicit JoinedCache(std::vector<std::unique_ptr<Cache>> members) : members_(std::move(members)) {}

  std::int64_t n_sequences() const override { return members_.front()->n_sequences(); }
  std::int64_t length() const override { return members_.front()->length(); }
  Cache& member(std::size_t i) { return *members_[i]; }
  std::size_t n_members() const { return members_.size(); }

  void select(std::span<const std::int64_t> parents) override {
    for (const auto& member : members_) member->select(parents);
  }
  void expect(std::int64_t n_sequences, std::int64_t n_tokens) override {
    for (const auto& member : members_) member->expect(n_sequences, n_tokens);
  }

  std::unique_ptr<Cache> fork() const override {
    std::vector<std::unique_ptr<Cache>> copies;
    for (const auto& member : members_) copies.push_back(member->fork());
    return std::make_unique<JoinedCache>(std::move(copies));
  }

  std::vector<std::byte> export_sequence(std::int64_t sequence, std::int64_t first_block) const override {
    return join([&](const Cache& member) { return member.export_sequence(sequence, first_block); });
  }
  std::vector<std::byte> export_apart(std::int64_t sequence, std::int64_t first_block,
                                      BlocksApart& apart) const override {
    return join([&](const Cache& member) { return member.export_apart(sequence, first_block, apart); });
  }
  std::int64_t import_sequence(std::span<const std::int64_t> donors, std::int64_t first_block,
                               std::span<const std::byte> bytes) override {
    return deal_out(bytes, [&](Cache& member, std::span<const std::byte> part) {
      return member.import_sequence(donors, first_block, part);
    });
  }
  std::int64_t import_apart(std::span<const std::int64_t> donors, std::int64_t first_block,
                            std::span<const std::byte> bytes, BlocksApart& apart) override {
    return deal_out(bytes, [&](Cache& member, std::span<const std::byte> part) {
      return member.import_apart(donors, first_block, part, apart);
    });
  }

  CacheUse use() const override {
    CacheUse sum;
    for (const auto& member : members_) {
      const CacheUse use = member->use();
      sum.live_blocks += use.live_blocks;
      sum.dense_blocks += use.dense_blocks;
      sum.live_bytes += use.live_bytes;
      sum.copied_blocks += use.copied_blocks;
    }
    return sum;
  }

 private:
  static constexpr const char* doing = "receiving a sequence of joined models";

  /// For each member the number of its bytes, int64, and the bytes.
  template <class BytesOf>
  [[nodiscard]] std::vector<std::byte> join(const BytesOf& bytes_of) const {
    std::vector<std::byte> out;
    for (const auto& member : members_) {
      const std::vector<std::byte> bytes = bytes_of(*member);
      const auto size = static_cast<std::int64_t>(bytes.size());
      const auto header = std::as_bytes(std::span(&size, 1));
      out.insert(out.end(), header.begin(), header.end());
      out.insert(out.end(), bytes.begin(), bytes.end());
    }
    return out;
  }

  template <class Receive>
  std::int64_t deal_out(std::span<const std::byte> bytes, const Receive& receive) {
    // All parts are cut out first, so that no member receives a sequence which another cannot.
    std::vector<std::span<const std::byte>> parts;
    for (std::size_t i = 0; i < members_.size(); ++i) parts.push_back(take_part(bytes));
    TWISTOR_CHECK(bytes.empty(), ErrorKind::data, doing,
                  fmt::format("{} bytes are left after {} models", bytes.size(), members_.size()));
    std::int64_t index = 0;
    for (std::size_t i = 0; i < members_.size(); ++i) index = receive(*members_[i], parts[i]);
    return index;
  }

  static std::span<const std::byte> take_part(std::span<const std::byte>& bytes) {
    std::int64_t size = 0;
    TWISTOR_CHECK(bytes.size() >= sizeof size, ErrorKind::data, doing, "a model's part is missing");
    std::memcpy(&size, bytes.data(), sizeof size);
    bytes = bytes.subspan(sizeof size);
    TWISTOR_CHECK(size >= 0 && static_cast<std::uint64_t>(size) <= bytes.size(), ErrorKind::data, doing,
                  fmt::format("expected {} bytes of a model, got {}", size, bytes.size()));
    const auto part = bytes.first(static_cast<std::size_t>(size));
    bytes = bytes.subspan(part.size());
    return part;
  }

  std::vector<std::unique_ptr<Cache>> members_;
};

void check_fit(const LanguageModel& first, const LanguageModel& member) {
  const std::string doing = "joining language models";
  TWISTOR_CHECK(member.vocab_size() == first.vocab_size(), ErrorKind::data, doing,
                fmt::format("the first has {} tokens, another {} ({})", first.vocab_size(),
                            member.vocab_size(), member.description()),
                "all must share one tokenizer");
  TWISTOR_CHECK(member.hidden_dtype() == first.hidden_dtype(), ErrorKind::data, doing,
                "their hidden states have different dtypes");
  TWISTOR_CHECK(member.engine()->device() == first.engine()->device(), ErrorKind::usage, doing,
                "they compute on different devices");
  TWISTOR_CHECK(!member.end_rule().can_end(), ErrorKind::usage, doing, "a member has an end rule of its own",
                "make the joined model absorbing instead");
}

}  // namespace

JoinedModel::JoinedModel(std::vector<std::shared_ptr<const LanguageModel>> members) {
  TWISTOR_CHECK(!members.empty(), ErrorKind::usage, "joining language models", "there are none");
  std::vector<std::string> fingerprints;
  std::vector<Columns> of_distinct;
  for (auto& member : members) {
    check_fit(*members.front(), *member);
    const std::string fingerprint = member->fingerprint();
    const auto found = std::find(fingerprints.begin(), fingerprints.end(), fingerprint);
    const auto index = static_cast<std::size_t>(found - fingerprints.begin());
    if (found == fingerprints.end()) {
      fingerprints.push_back(fingerprint);
      of_distinct.push_back({hidden_size_, member->hidden_size()});
      hidden_size_ += member->hidden_size();
      distinct_.push_back(member);
    }
    columns_.push_back(of_distinct[index]);
    index_.push_back(index);
  }
}

std::int64_t JoinedModel::context_length() const {
  std::int64_t shortest = distinct_.front()->context_length();
  for (const auto& member : distinct_) shortest = std::min(shortest, member->context_length());
  return shortest;
}

std::int64_t JoinedModel::revision() const {
  std::int64_t sum = 0;  // no member's ever falls
  for (const auto& member : distinct_) sum += member->revision();
  return sum;
}

std::string JoinedModel::fingerprint() const {
  if (distinct_.size() == 1) return distinct_.front()->fingerprint();
  Sha256 digest;
  digest.add("joined");
  for (const auto& member : distinct_) digest.add(member->fingerprint());
  return digest.finish_hex();
}

std::string JoinedModel::description() const {
  std::string out = distinct_.front()->description();
  for (std::size_t i = 1; i < distinct_.size(); ++i) out += " | " + distinct_[i]->description();
  return out;
}

std::unique_ptr<Cache> JoinedModel::make_cache(std::int64_t n) const {
  std::vector<std::unique_ptr<Cache>> caches;
  for (const auto& member : distinct_) caches.push_back(member->make_cache(n));
  return std::make_unique<JoinedCache>(std::move(caches));
}

at::Tensor JoinedModel::forward(std::span<const std::int64_t> tokens, Cache& cache) const {
  auto* const own = dynamic_cast<JoinedCache*>(&cache);
  TWISTOR_ASSERT(own != nullptr && own->n_members() == distinct_.size(),
                 "the cache belongs to another model");
  // The members' own contexts may differ: without this check one could grow where another throws.
  const std::int64_t n = own->n_sequences(),
                     length = n == 0 ? 0 : static_cast<std::int64_t>(tokens.size()) / n;
  TWISTOR_CHECK(own->length() + length <= context_length(), ErrorKind::usage,
                "running joined language models",
                fmt::format("{} tokens do not fit the shortest context of {}", own->length() + length,
                            context_length()),
                "shorten the prompt or target.length");
  std::vector<at::Tensor> hidden;
  for (std::size_t i = 0; i < distinct_.size(); ++i)
    hidden.push_back(distinct_[i]->forward(tokens, own->member(i)));
  return hidden.size() == 1 ? hidden.front() : at::cat(hidden, 2);
}

void JoinedModel::logits(const at::Tensor& hidden, std::int64_t v_begin, std::int64_t v_end,
                         at::Tensor& out) const {
  distinct_.front()->logits(hidden.narrow(1, 0, columns_.front().size), v_begin, v_end, out);
}

std::shared_ptr<const LanguageModel> join(std::shared_ptr<const LanguageModel> lm,
                                          std::shared_ptr<const LanguageModel> other, std::int64_t n_prompt) {
  const std::shared_ptr<const LanguageModel> base(lm, &lm->without_end());
  auto both = std::make_shared<JoinedModel>(
      std::vector<std::shared_ptr<const LanguageModel>>{base, std::move(other)});
  if (!lm->end_rule().can_end()) return both;
  return std::make_shared<AbsorbingModel>(std::move(both), lm->end_rule(), n_prompt);
}

void MemberModel::logits(const at::Tensor& hidden, std::int64_t v_begin, std::int64_t v_end,
                         at::Tensor& out) const {
  const Columns own = joined_->columns(member_);
  joined_->member(member_).logits(hidden.narrow(1, own.begin, own.size), v_begin, v_end, out);
}

}  // namespace twistor::model
