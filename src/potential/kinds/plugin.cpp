// SPDX-License-Identifier: Apache-2.0
// The plugin potential: loading shared objects, and calling them.
#include "plugin.hpp"

#include <dlfcn.h>
#include <fmt/format.h>

#include <array>
#include <cmath>
#include <filesystem>
#include <limits>
#include <mutex>
#include <string>
#include <vector>

#include "twistor/base/digest.hpp"
#include "twistor/base/error.hpp"
#include "twistor/base/handle.hpp"
#include "twistor/plugin.h"

namespace twistor::potential {
namespace {

constexpr const char* build_hint =
    "build one from C with: cc -shared -fPIC -I include -o FILE.so FILE.c (docs/library.md)";

/// Room for what a shared object says of its failures.
class PluginMessage {
 public:
  char* data() { return text_.data(); }
  [[nodiscard]] static constexpr std::size_t size() { return std::tuple_size_v<decltype(text_)>; }
  /// What was written, also where its end is missing.
  [[nodiscard]] std::string text() {
    text_.back() = '\0';
    return text_.front() == '\0' ? "it does not say why" : text_.data();
  }

 private:
  std::array<char, 1024> text_{};
};

struct SharedObjectTraits {
  using type = void*;
  static type null() noexcept { return nullptr; }
  static void close(type handle) noexcept { dlclose(handle); }
};

/// A loaded shared object whose table has passed all checks.
class PluginObject {
 public:
  explicit PluginObject(const std::string& path) : doing_("loading the plugin " + path) {
    TWISTOR_CHECK(!path.empty(), ErrorKind::config, "making the potential 'plugin'", "there is no plugin",
                  "set target.plugin to a shared object with the interface of twistor/plugin.h");
    // NODELETE: threads and variables of threads do not survive that their code is unloaded.
    handle_ = UniqueHandle<SharedObjectTraits>(
        dlopen(std::filesystem::absolute(path).c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE));
    if (!handle_) {
      const char* why = dlerror();
      throw Error(ErrorKind::config, doing_,
                  fmt::format("it is no shared object that loads here: {}", why == nullptr ? "" : why),
                  build_hint);
    }
    void* const symbol = dlsym(handle_.get(), "twistor_plugin");
    TWISTOR_CHECK(symbol != nullptr, ErrorKind::config, doing_,
                  "it does not define the function twistor_plugin",
                  "include twistor/plugin.h and define it; in C++ that header makes it extern \"C\"");
    table_ = reinterpret_cast<const TwistorPlugin* (*)()>(symbol)();
    check_table();
  }

  [[nodiscard]] const TwistorPlugin& table() const { return *table_; }
  [[nodiscard]] const std::string& doing() const { return doing_; }
  [[nodiscard]] bool reads_texts() const { return (table_->reads & TWISTOR_PLUGIN_READS_TEXTS) != 0; }
  [[nodiscard]] bool reads_tokens() const { return (table_->reads & TWISTOR_PLUGIN_READS_TOKENS) != 0; }

 private:
  void check_table() const {
    const auto check = [this](bool is_fine, const std::string& problem, const char* hint) {
      TWISTOR_CHECK(is_fine, ErrorKind::config, doing_, problem, hint);
    };
    check(table_ != nullptr, "its function twistor_plugin returns no table", "return a static TwistorPlugin");
    check(table_->abi_version == TWISTOR_PLUGIN_ABI_VERSION,
          fmt::format("it was built for version {} of twistor/plugin.h (expected {})", table_->abi_version,
                      TWISTOR_PLUGIN_ABI_VERSION),
          "build it anew with the header of this twistor");
    check(table_->create != nullptr && table_->destroy != nullptr && table_->log_phi != nullptr,
          "its table lacks create, destroy or log_phi",
          "give all three; the functions after them may be null");
    check((reads_texts() || reads_tokens()) && table_->reads <= 3,
          fmt::format("it reads {} (expected texts, tokens, or both: 1, 2 or 3)", table_->reads),
          "set the member reads of its table");
  }

  std::string doing_;
  UniqueHandle<SharedObjectTraits> handle_;
  const TwistorPlugin* table_ = nullptr;
};

/// A potential that a shared object has made.
class MadePlugin {
 public:
  MadePlugin(PluginObject object, const PotentialOptions& options, const TargetContext& context)
      : object_(std::move(object)),
        path_(options.plugin),
        beta_(options.beta),
        potential_(nullptr, object_.table().destroy) {
    const TwistorPluginContext known{options.plugin_options.c_str(), context.vocab_size(), options.length};
    PluginMessage message;
    potential_.reset(object_.table().create(&known, message.data(), message.size()));
    TWISTOR_CHECK(potential_ != nullptr, ErrorKind::config, object_.doing(),
                  "it makes no potential: " + message.text(), "check target.plugin_options");
  }

  /// (n), beta in it.
  [[nodiscard]] std::vector<double> log_phi(const TwistorPluginBatch& batch) const {
    // NaN: a value that is not written is noticed.
    std::vector<double> values(static_cast<std::size_t>(batch.n), std::nan(""));
    PluginMessage message;
    const std::lock_guard lock(mutex_);
    const int status = object_.table().log_phi(potential_.get(), &batch, values.data(), message.data(),
                                               PluginMessage::size());
    TWISTOR_CHECK(status == 0, ErrorKind::data,
                  fmt::format("evaluating {} texts by the plugin {}", batch.n, path_),
                  fmt::format("it fails with status {}: {}", status, message.text()));
    for (double& value : values) value *= beta_;
    return values;
  }

  [[nodiscard]] double log_phi_bound() const {
    double (*const bound)(const void*) = object_.table().log_phi_bound;
    return bound == nullptr ? std::numeric_limits<double>::infinity() : beta_ * bound(potential_.get());
  }
  [[nodiscard]] std::string description() const {
    const char* text =
        object_.table().description == nullptr ? nullptr : object_.table().description(potential_.get());
    return fmt::format("plugin: {}",
                       text == nullptr ? "a shared object that does not describe itself" : text);
  }
  [[nodiscard]] std::string fingerprint() const {
    const char* text =
        object_.table().fingerprint == nullptr ? nullptr : object_.table().fingerprint(potential_.get());
    return text == nullptr ? std::string{} : sha256_hex(text);
  }

 private:
  PluginObject object_;
  std::string path_;
  double beta_;
  std::unique_ptr<void, void (*)(void*)> potential_;
  mutable std::mutex mutex_;
};

/// Texts as a C interface takes them.
struct CTexts {
  explicit CTexts(std::span<const std::string> texts) {
    for (const std::string& text : texts) {
      begins.push_back(text.c_str());
      sizes.push_back(text.size());
    }
  }
  std::vector<const char*> begins;
  std::vector<std::size_t> sizes;
};

class PluginScorer final : public TextScorer {
 public:
  explicit PluginScorer(std::unique_ptr<const MadePlugin> plugin) : plugin_(std::move(plugin)) {}

  [[nodiscard]] std::vector<double> log_phi(std::span<const std::string> texts) const override {
    if (texts.empty()) return {};
    const CTexts given(texts);
    TwistorPluginBatch batch{};
    batch.n = static_cast<std::int64_t>(texts.size());
    batch.texts = given.begins.data();
    batch.text_sizes = given.sizes.data();
    return plugin_->log_phi(batch);
  }
  [[nodiscard]] double log_phi_bound() const override { return plugin_->log_phi_bound(); }
  [[nodiscard]] std::string description() const override { return plugin_->description(); }
  [[nodiscard]] std::string fingerprint() const override { return plugin_->fingerprint(); }

 private:
  std::unique_ptr<const MadePlugin> plugin_;
};

class PluginPotential final : public Potential {
 public:
  /// The tokenizer, which must outlive this, decodes for those that read texts too; else it is null.
  PluginPotential(std::unique_ptr<const MadePlugin> plugin, const text::Tokenizer* tokenizer, TextScope scope,
                  model::EndRule end)
      : plugin_(std::move(plugin)), tokenizer_(tokenizer), scope_(scope), end_(std::move(end)) {}

  [[nodiscard]] std::vector<double> log_phi(const Sequences& sequences) const override {
    if (sequences.size() == 0) return {};
    std::vector<std::int64_t> ends;
    const auto T = static_cast<std::size_t>(sequences.length);
    for (std::size_t i = 0; i < sequences.tokens.size(); i += T)
      ends.push_back(static_cast<std::int64_t>(end_.until_end(sequences.tokens.subspan(i, T)).size()));
    const std::vector<std::string> texts = tokenizer_ == nullptr
                                               ? std::vector<std::string>{}
                                               : decoded_texts(sequences, *tokenizer_, scope_, end_);
    const CTexts given(texts);
    return plugin_->log_phi({.n = sequences.size(),
                             .texts = texts.empty() ? nullptr : given.begins.data(),
                             .text_sizes = texts.empty() ? nullptr : given.sizes.data(),
                             .tokens = sequences.tokens.data(),
                             .length = sequences.length,
                             .ends = ends.data(),
                             .prompt = sequences.prompt.data(),
                             .prompt_length = static_cast<std::int64_t>(sequences.prompt.size())});
  }
  [[nodiscard]] double log_phi_bound() const override { return plugin_->log_phi_bound(); }
  [[nodiscard]] std::string description() const override { return plugin_->description(); }
  [[nodiscard]] std::string fingerprint() const override { return plugin_->fingerprint(); }

 private:
  std::unique_ptr<const MadePlugin> plugin_;
  const text::Tokenizer* tokenizer_;
  TextScope scope_;
  model::EndRule end_;
};

}  // namespace

std::unique_ptr<TextScorer> make_plugin_of_texts(const PotentialOptions& options,
                                                 const TargetContext& context) {
  PluginObject object(options.plugin);
  if (object.reads_tokens()) return nullptr;
  return std::make_unique<PluginScorer>(
      std::make_unique<const MadePlugin>(std::move(object), options, context));
}

std::unique_ptr<Potential> make_plugin_of_tokens(const PotentialOptions& options,
                                                 const TargetContext& context) {
  PluginObject object(options.plugin);
  const bool reads_texts = object.reads_texts();
  const auto scope = from_name<TextScope>(options.scope, "target.scope", object.doing());
  TWISTOR_CHECK(reads_texts || scope == TextScope::all, ErrorKind::config, object.doing(),
                "target.scope is set, and the plugin reads tokens alone",
                "leave target.scope as it is by default");
  TWISTOR_CHECK(!reads_texts || context.tokenizer != nullptr, ErrorKind::config, object.doing(),
                "it reads text, and the model has no tokenizer",
                "put the model's tokenizer.json beside it, or choose a potential of tokens");
  return std::make_unique<PluginPotential>(
      std::make_unique<const MadePlugin>(std::move(object), options, context),
      reads_texts ? context.tokenizer : nullptr, scope, context.end_rule());
}

}  // namespace twistor::potential
