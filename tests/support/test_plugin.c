// SPDX-License-Identifier: Apache-2.0
// Shared objects that plugin_test.cpp loads: what they read, and what is wrong with them, is said by
// definitions when they are compiled, and how they behave by their options.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "twistor/plugin.h"

#ifndef READS
#define READS TWISTOR_PLUGIN_READS_TEXTS
#endif
#ifndef VERSION
#define VERSION TWISTOR_PLUGIN_ABI_VERSION
#endif
#ifndef INCOMPLETE
#define INCOMPLETE 0
#endif
#ifndef PLAIN
#define PLAIN 0
#endif
#ifndef FUNCTION
#define FUNCTION twistor_plugin
#endif

typedef struct Potential {
  char options[64];
  char description[96];
} Potential;

static void* create(const TwistorPluginContext* context, char* error, size_t error_size) {
  if (strcmp(context->options, "refuse") == 0) {
    snprintf(error, error_size, "there is no word list '%s'", context->options);
    return NULL;
  }
  if (strcmp(context->options, "shout") == 0) {
    memset(error, 'A', error_size);  // no final 0
    return NULL;
  }
  if (strcmp(context->options, "keep silent") == 0) return NULL;
  Potential* potential = calloc(1, sizeof *potential);
  snprintf(potential->options, sizeof potential->options, "%s", context->options);
  snprintf(potential->description, sizeof potential->description, "'%s' with V = %lld and T = %lld",
           potential->options, (long long)context->vocab_size, (long long)context->length);
  return potential;
}

static void destroy(void* potential) {
  free(potential);
}

/// Minus the bytes of the text, minus a tenth of the sum of the tokens that count, minus a hundredth of the
/// prompt's.
static double value_of(const TwistorPluginBatch* batch, int64_t i) {
  double value = 0;
  if (batch->texts != NULL) {
    if (batch->texts[i][batch->text_sizes[i]] != '\0') return INFINITY;
    value -= (double)batch->text_sizes[i];
  }
  if (batch->tokens != NULL) {
    for (int64_t t = 0; t < batch->ends[i]; ++t) value -= 0.1 * (double)batch->tokens[i * batch->length + t];
    for (int64_t t = 0; t < batch->prompt_length; ++t) value -= 0.01 * (double)batch->prompt[t];
  }
  return value;
}

static int log_phi(void* made, const TwistorPluginBatch* batch, double* out, char* error, size_t error_size) {
  const Potential* potential = made;
  if (strcmp(potential->options, "fail") == 0) {
    snprintf(error, error_size, "the scale is broken");
    return 3;
  }
  for (int64_t i = 0; i < batch->n; ++i) {
    if (strcmp(potential->options, "skip") == 0 && i == 1) continue;
    out[i] = strcmp(potential->options, "nan") == 0 ? NAN : value_of(batch, i);
  }
  return 0;
}

static double log_phi_bound(const void* made) {
  return strcmp(((const Potential*)made)->options, "too low") == 0 ? -100 : 0;
}

static const char* description(const void* made) {
  return ((const Potential*)made)->description;
}

static const char* fingerprint(const void* made) {
  const Potential* potential = made;
  return strncmp(potential->options, "file ", 5) == 0 ? "what the file has" : NULL;
}

const TwistorPlugin* FUNCTION(void) {
  static const TwistorPlugin table = {
      .abi_version = VERSION,
      .reads = READS,
      .create = create,
      .destroy = destroy,
      .log_phi = INCOMPLETE ? NULL : log_phi,
      .log_phi_bound = PLAIN ? NULL : log_phi_bound,
      .description = PLAIN ? NULL : description,
      .fingerprint = PLAIN ? NULL : fingerprint,
  };
  return &table;
}
