// SPDX-License-Identifier: Apache-2.0
// spm.model, a protocol buffer of SentencePiece (Kudo and Richardson 2018), as DeBERTa-v2 and v3 keep their
// unigram tokenizer: turned into the same document that a tokenizer.json of it is.
#include <fmt/format.h>

#include <cstdint>
#include <cstring>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "twistor/base/error.hpp"
#include "twistor/format/quote.hpp"
#include "twistor/text/tokenizer_formats.hpp"

namespace twistor::text {
namespace {

using nlohmann::json;

/// One field of a message: a number, or bytes.
struct ProtoField {
  std::uint64_t key = 0, number = 0;
  std::string_view bytes;
};

/// Walks the fields of a message. Every length is checked before it is used.
class ProtoReader {
 public:
  ProtoReader(std::string_view message, std::string doing) : rest_(message), doing_(std::move(doing)) {}

  [[nodiscard]] std::optional<ProtoField> next() {
    if (rest_.empty()) return std::nullopt;
    const std::uint64_t tag = varint();
    ProtoField field{tag >> 3, 0, {}};
    switch (tag & 7) {
      case 0:
        field.number = varint();
        return field;
      case 1:
        field.bytes = take(8);
        return field;
      case 2:
        field.bytes = take(varint());
        return field;
      case 5:
        field.bytes = take(4);
        return field;
      default:
        fail(fmt::format("a field of the unknown kind {}", tag & 7));
    }
  }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    throw Error(ErrorKind::data, doing_, what, "the file is damaged, or no model of SentencePiece");
  }
  std::string_view take(std::uint64_t n) {
    if (n > rest_.size()) fail(fmt::format("expected {} more bytes, got {}", n, rest_.size()));
    const std::string_view out = rest_.substr(0, static_cast<std::size_t>(n));
    rest_.remove_prefix(out.size());
    return out;
  }
  std::uint64_t varint() {
    std::uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      const auto byte = static_cast<unsigned char>(take(1).front());
      value |= static_cast<std::uint64_t>(byte & 127u) << shift;
      if (byte < 128) return value;
    }
    fail("a number of more than 64 bits");
  }

  std::string_view rest_;
  std::string doing_;
};

enum class PieceKind : std::uint64_t { normal = 1, unknown = 2, control = 3, user_defined = 4 };

struct Piece {
  std::string text;
  float score = 0;
  PieceKind kind = PieceKind::normal;
};

struct SentencePieceFile {
  std::vector<Piece> pieces;
  std::uint64_t model_kind = 1;  ///< unigram
  bool has_byte_fallback = false;
  std::string_view character_map;
};

Piece read_piece(std::string_view message, const std::string& doing) {
  Piece piece;
  ProtoReader reader(message, doing);
  while (const auto field = reader.next()) {
    if (field->key == 1) piece.text = field->bytes;
    if (field->key == 2 && field->bytes.size() == sizeof piece.score)
      std::memcpy(&piece.score, field->bytes.data(), sizeof piece.score);
    if (field->key == 3) piece.kind = static_cast<PieceKind>(field->number);
  }
  return piece;
}

SentencePieceFile read_sentencepiece(std::string_view bytes, const std::string& doing) {
  SentencePieceFile out;
  ProtoReader reader(bytes, doing);
  while (const auto field = reader.next()) {
    if (field->key == 1) out.pieces.push_back(read_piece(field->bytes, doing));
    if (field->key != 2 && field->key != 3) continue;
    ProtoReader part(field->bytes, doing);  // how it was trained, and how texts are prepared
    while (const auto inner = part.next()) {
      if (field->key == 2 && inner->key == 3) out.model_kind = inner->number;
      if (field->key == 2 && inner->key == 35) out.has_byte_fallback = inner->number != 0;
      if (field->key == 3 && inner->key == 2) out.character_map = inner->bytes;
    }
  }
  TWISTOR_CHECK(out.model_kind == 1, ErrorKind::data, doing,
                fmt::format("a model of the kind {}, expected 1, a unigram model", out.model_kind),
                "DeBERTa's spm.model is one; other models come as tokenizer.json");
  return out;
}

/// RFC 4648, section 4.
std::string base64_of(std::string_view bytes) {
  constexpr std::string_view alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const std::string_view three = bytes.substr(i, 3);
    std::uint32_t bits = 0;
    for (std::size_t j = 0; j < 3; ++j)
      bits = (bits << 8) | (j < three.size() ? static_cast<unsigned char>(three[j]) : 0u);
    for (std::size_t j = 0; j < 4; ++j)
      out += j <= three.size() ? alphabet[(bits >> (18 - 6 * j)) & 63u] : '=';
  }
  return out;
}

json normalizer_of(const SentencePieceFile& file, const SentencePieceOptions& options) {
  json steps = json::array();
  if (options.lowercase) steps.push_back({{"type", "Lowercase"}});
  steps.push_back({{"type", "Strip"}, {"strip_left", true}, {"strip_right", true}});
  if (!file.character_map.empty())
    steps.push_back({{"type", "Precompiled"}, {"precompiled_charsmap", base64_of(file.character_map)}});
  steps.push_back({{"type", "Replace"}, {"pattern", {{"Regex", " {2,}"}}}, {"content", " "}});
  return {{"type", "Sequence"}, {"normalizers", steps}};
}

json metaspace() {
  return {{"type", "Metaspace"}, {"replacement", "\u2581"}, {"prepend_scheme", "always"}, {"split", true}};
}

json pre_tokenizer_of(const SentencePieceOptions& options) {
  json steps = json::array();
  if (options.splits_at_punctuation) steps.push_back({{"type", "Punctuation"}, {"behavior", "Isolated"}});
  steps.push_back(metaspace());
  return {{"type", "Sequence"}, {"pretokenizers", steps}};
}

/// Vocabulary, tokens that are cut out of texts as they are, and the template [CLS] x [SEP].
class DebertaDocument {
 public:
  DebertaDocument(const SentencePieceFile& file, const SentencePieceOptions& options, std::string doing)
      : doing_(std::move(doing)) {
    for (const Piece& piece : file.pieces) {
      const std::size_t id = vocabulary_.size();
      vocabulary_.push_back(json::array({piece.text, piece.score}));
      if (piece.kind == PieceKind::unknown) unknown_ = id;
      const bool is_special = piece.kind == PieceKind::control || piece.kind == PieceKind::unknown;
      if (!piece.text.empty() && (is_special || piece.kind == PieceKind::user_defined))
        add_token(piece.text, id, is_special, piece.kind == PieceKind::unknown);
    }
    if (!added_ids_.contains(options.mask)) add_token(options.mask, vocabulary_.size(), true, false);
    const json before = part("SpecialToken", options.cls, 0), after = part("SpecialToken", options.sep, 0),
               last = part("SpecialToken", options.sep, 1), text = part("Sequence", "A", 0),
               answer = part("Sequence", "B", 1);
    document_ = {
        {"normalizer", normalizer_of(file, options)},
        {"pre_tokenizer", pre_tokenizer_of(options)},
        {"model", {{"type", "Unigram"}, {"vocab", vocabulary_}, {"byte_fallback", file.has_byte_fallback}}},
        {"added_tokens", added_},
        {"decoder", metaspace()},
        {"post_processor",
         {{"type", "TemplateProcessing"},
          {"single", json::array({before, text, after})},
          {"pair", json::array({before, text, after, answer, last})},
          {"special_tokens",
           {{options.cls, special_token(options.cls)}, {options.sep, special_token(options.sep)}}}}}};
    if (unknown_) document_["model"]["unk_id"] = *unknown_;
  }
  [[nodiscard]] const json& document() const { return document_; }

 private:
  void add_token(const std::string& text, std::size_t id, bool is_special, bool is_normalized) {
    added_.push_back({{"id", id}, {"content", text}, {"special", is_special}, {"normalized", is_normalized}});
    added_ids_[text] = id;
  }
  static json part(const char* kind, const std::string& id, std::int64_t type_id) {
    return {{kind, {{"id", id}, {"type_id", type_id}}}};
  }
  [[nodiscard]] json special_token(const std::string& token) const {
    TWISTOR_CHECK(added_ids_.contains(token), ErrorKind::data, doing_,
                  fmt::format("the model has no control token {}", format::quote(token)),
                  "tokenizer_config.json may name another one: cls_token, sep_token");
    return {{"id", token}, {"ids", json::array({added_ids_.at(token)})}, {"tokens", json::array({token})}};
  }

  std::string doing_;
  json vocabulary_ = json::array(), added_ = json::array(), added_ids_ = json::object(), document_;
  std::optional<std::size_t> unknown_;
};

}  // namespace

std::unique_ptr<Tokenizer> parse_spm_model(std::string_view bytes, const std::string& name,
                                           const SentencePieceOptions& options) {
  const std::string doing = "reading tokenizer " + name;
  const DebertaDocument made(read_sentencepiece(bytes, doing), options, doing);
  return tokenizer_of_json(made.document(), doing, "spm.model", options.end, options.begin);
}

}  // namespace twistor::text
