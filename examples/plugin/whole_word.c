// SPDX-License-Identifier: Apache-2.0
// A potential in plain C: phi(text) = 1 if a word occurs in the text, whole, and exp(floor) if not. It is
// what the built-in potential `keywords` says of target.any_of, to show how one is made.
//
//   mkdir -p build && cc -shared -fPIC -O2 -I include -o build/whole_word.so examples/plugin/whole_word.c
//   build/release/twistor score-text examples/plugin/whole_word.cfg --text "the fox ate the hen" --text "the
//   plates"
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <twistor/plugin.h>

typedef struct WholeWord {
  char word[64];
  double floor;
  char description[160];
} WholeWord;

// target.plugin_options are a word and a number: "ate -5".
static void* create(const TwistorPluginContext* context, char* error, size_t error_size) {
  WholeWord* made = calloc(1, sizeof *made);
  if (made == NULL) {
    snprintf(error, error_size, "there is no memory left");
    return NULL;
  }
  char rest = 0;
  if (sscanf(context->options, "%63s %lf %c", made->word, &made->floor, &rest) != 2 || !(made->floor <= 0)) {
    snprintf(error, error_size,
             "its options are '%s' (expected a word and log phi of texts without it, at most 0: ate -5)",
             context->options);
    free(made);
    return NULL;
  }
  snprintf(made->description, sizeof made->description, "the word '%s', otherwise exp(%g)", made->word,
           made->floor);
  return made;
}

static void destroy(void* potential) {
  free(potential);
}

static int is_of_word(const char* text, size_t size, size_t at) {
  return at < size && (isalnum((unsigned char)text[at]) || text[at] == '_');
}

// Texts are bytes with a size: they may hold a 0.
static int has_word(const WholeWord* wanted, const char* text, size_t size) {
  const size_t length = strlen(wanted->word);
  for (size_t begin = 0; begin + length <= size; ++begin)
    if (memcmp(text + begin, wanted->word, length) == 0 && !is_of_word(text, size, begin + length) &&
        (begin == 0 || !is_of_word(text, size, begin - 1)))
      return 1;
  return 0;
}

static int log_phi(void* potential, const TwistorPluginBatch* batch, double* out, char* error,
                   size_t error_size) {
  (void)error, (void)error_size;  // nothing can fail
  const WholeWord* wanted = potential;
  for (int64_t i = 0; i < batch->n; ++i)
    out[i] = has_word(wanted, batch->texts[i], batch->text_sizes[i]) ? 0.0 : wanted->floor;
  return 0;
}

static double log_phi_bound(const void* potential) {
  (void)potential;
  return 0;
}

static const char* description(const void* potential) {
  return ((const WholeWord*)potential)->description;
}

const TwistorPlugin* twistor_plugin(void) {
  static const TwistorPlugin table = {
      .abi_version = TWISTOR_PLUGIN_ABI_VERSION,
      .reads = TWISTOR_PLUGIN_READS_TEXTS,
      .create = create,
      .destroy = destroy,
      .log_phi = log_phi,
      .log_phi_bound = log_phi_bound,
      .description = description,
  };
  return &table;
}
