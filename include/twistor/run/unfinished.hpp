// SPDX-License-Identifier: Apache-2.0
// What an interrupted evaluation or sampling keeps in run.output until it is resumed.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "twistor/run/session.hpp"
#include "twistor/store/exact_samples.hpp"
#include "twistor/twist/trainable.hpp"

namespace twistor::run {

/// SHA-256 over all that decides the numbers of an evaluation or the lines of a sampling, down to the bits of
/// the twist's parameters. Work kept under another key is ignored. *Local.*
[[nodiscard]] std::string work_key(const Session& session, std::string_view twist_form,
                                   std::span<const twist::Parameter> parameters,
                                   const store::ExactSamples& exact);

/// A file that only this program reads and whose loss costs nothing but time.
class Unfinished {
 public:
  /// `session` must outlive this.
  Unfinished(const Session& session, const std::string& name, std::string key);

  /// What is kept under the key; nothing if there is none, if the file is damaged, or if run.resume = never.
  /// *Collective over the world.*
  [[nodiscard]] std::vector<double> load() const;
  /// Replaces it as a whole. Ranks other than 0 do nothing. *Local.* Throws Error(io).
  void save(const std::vector<double>& numbers) const;
  /// As save(): every rank may call it.
  void remove() const noexcept;

 private:
  const Session& session_;
  std::filesystem::path file_;
  std::string key_;
};

}  // namespace twistor::run
