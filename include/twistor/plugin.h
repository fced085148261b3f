// SPDX-License-Identifier: Apache-2.0
// The C interface of potentials that are compiled apart from twistor: `target.potential = plugin` loads one
// from a shared object. docs/library.md explains it, examples/plugin has one.
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/// The version of this header. It changes with every change of layout or meaning; a shared object that was
/// compiled with another one is refused.
#define TWISTOR_PLUGIN_ABI_VERSION 1

/// What a potential reads: one of them, or both added up.
#define TWISTOR_PLUGIN_READS_TEXTS 1
#define TWISTOR_PLUGIN_READS_TOKENS 2

/// What is known when a potential is made. Pointers are valid during create() alone.
typedef struct TwistorPluginContext {
  const char* options;  ///< target.plugin_options; ends with a 0 byte, empty if the key is not set
  int64_t vocab_size;   ///< V; 0 if it is not known
  int64_t length;       ///< T; 0 if it is not known
} TwistorPluginContext;

/// n sequences after one prompt. Pointers are valid during log_phi() alone.
typedef struct TwistorPluginBatch {
  int64_t n;
  /// (n) texts of prompt and generation, or of the generation alone (target.scope), without the token that
  /// ends them. Bytes as the model writes them: usually UTF-8, but a text may be cut within a character or
  /// hold a 0 byte, so the sizes count; a further 0 byte follows each. Null unless texts are read.
  const char* const* texts;
  const size_t* text_sizes;  ///< (n) bytes
  /// (n, length) generated tokens, row-major. Null unless tokens are read, as all that follows.
  const int64_t* tokens;
  int64_t length;  ///< T; of a prefix (smc.prefix_weight) less
  /// (n) tokens that count: those up to and with the first that ends the text, else `length`.
  const int64_t* ends;
  const int64_t* prompt;  ///< (prompt_length)
  int64_t prompt_length;
} TwistorPluginBatch;

/// The potential as a table of functions. `potential` is what create() has returned. A function that fails
/// writes why into `error`, at most error_size bytes with a final 0. Calls for one potential come one at a
/// time; there may be several potentials in a process, and each rank is a process with its own. No exception
/// may leave a function.
typedef struct TwistorPlugin {
  uint32_t abi_version;  ///< TWISTOR_PLUGIN_ABI_VERSION; the first member in every version
  uint32_t reads;        ///< TWISTOR_PLUGIN_READS_TEXTS, TWISTOR_PLUGIN_READS_TOKENS, or both added up

  /// Makes a potential; null if it fails.
  void* (*create)(const TwistorPluginContext* context, char* error, size_t error_size);
  void (*destroy)(void* potential);

  /// Writes the n values of log phi; 0, or anything else if it fails. -INFINITY is legal, NaN and +INFINITY
  /// are not. Value i may depend on sequence i alone: then results are the same on any number of ranks.
  int (*log_phi)(void* potential, const TwistorPluginBatch* batch, double* log_phi, char* error,
                 size_t error_size);

  // What follows may be null.

  /// An upper bound of log phi over all sequences, which makes exact samples by rejection possible. Null:
  /// none is known.
  double (*log_phi_bound)(const void* potential);
  /// One line for people; lives as long as the potential.
  const char* (*description)(const void* potential);
  /// What defines phi beyond the shared object and its options, the contents of a file that these name for
  /// instance: exact samples and checkpoints of a potential with another fingerprint are refused. Lives as
  /// long as the potential.
  const char* (*fingerprint)(const void* potential);
} TwistorPlugin;

#if defined(__GNUC__)
#define TWISTOR_PLUGIN_EXPORT __attribute__((visibility("default")))
#else
#define TWISTOR_PLUGIN_EXPORT
#endif

/// The one function that a shared object defines; what it returns is never freed.
TWISTOR_PLUGIN_EXPORT const TwistorPlugin* twistor_plugin(void);

#ifdef __cplusplus
}
#endif
