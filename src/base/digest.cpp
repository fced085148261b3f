// SPDX-License-Identifier: Apache-2.0
// SHA-256 by OpenSSL's EVP interface.
#include "twistor/base/digest.hpp"

#include <openssl/evp.h>

#include <array>

#include "twistor/base/error.hpp"
#include "twistor/base/handle.hpp"

namespace twistor {
namespace {

struct DigestTraits {
  using type = EVP_MD_CTX*;
  static type null() noexcept { return nullptr; }
  static void close(type context) noexcept { EVP_MD_CTX_free(context); }
};

void check(bool ok) {
  TWISTOR_CHECK(ok, ErrorKind::internal, "computing a SHA-256", "OpenSSL refused",
                "check that OpenSSL's default provider is enabled (openssl list -digest-algorithms)");
}

}  // namespace

struct Sha256::State {
  UniqueHandle<DigestTraits> context;

  void start() const { check(context && EVP_DigestInit_ex(context.get(), EVP_sha256(), nullptr) == 1); }
};

Sha256::Sha256() : state_(new State{UniqueHandle<DigestTraits>(EVP_MD_CTX_new())}) {
  state_->start();
}
Sha256::Sha256(Sha256&& other) noexcept = default;
Sha256& Sha256::operator=(Sha256&& other) noexcept = default;
Sha256::~Sha256() = default;

void Sha256::add(std::span<const std::byte> bytes) {
  check(EVP_DigestUpdate(state_->context.get(), bytes.data(), bytes.size()) == 1);
}

void Sha256::add(std::string_view text) {
  add(std::as_bytes(std::span(text)));
}

std::string Sha256::finish_hex() {
  std::array<unsigned char, 32> digest{};
  check(EVP_DigestFinal_ex(state_->context.get(), digest.data(), nullptr) == 1);
  state_->start();
  std::string hex;
  for (const unsigned char byte : digest) {
    hex.push_back("0123456789abcdef"[byte >> 4]);
    hex.push_back("0123456789abcdef"[byte & 15]);
  }
  return hex;
}

std::string sha256_hex(std::span<const std::byte> bytes) {
  Sha256 hash;
  hash.add(bytes);
  return hash.finish_hex();
}

std::string sha256_hex(std::string_view text) {
  return sha256_hex(std::as_bytes(std::span(text)));
}

}  // namespace twistor
