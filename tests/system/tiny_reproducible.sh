#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Checks that models/tiny can be made again: two short trainings give the same bytes, another seed gives others, and
# what ships is what its page says. Usage: tiny_reproducible.sh PATH/TO/make_tiny PATH/TO/models/tiny
set -euo pipefail

make_tiny=$1
shipped=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() {
  echo "tiny_reproducible: $1" >&2
  exit 1
}

"$make_tiny" train --steps 3 --out "$work/first"
"$make_tiny" train --steps 3 --out "$work/second"
"$make_tiny" train --steps 3 --seed 2 --out "$work/other"
for file in config.json tokenizer.json model.safetensors; do
  cmp "$work/first/$file" "$work/second/$file" || fail "$file differs between two runs with one seed"
done
if cmp -s "$work/first/model.safetensors" "$work/other/model.safetensors"; then
  fail "the seed changes nothing"
fi

# The grammar, the tool and the shipped files belong together.
for file in config.json tokenizer.json; do
  cmp "$work/first/$file" "$shipped/$file" || fail "$file is not what the tool writes from grammar.txt"
done
sums=$(grep -E '^[0-9a-f]{64}  ' "$shipped/README.md") || fail "README.md lists no sha256"
(cd "$shipped" && sha256sum --check --strict --quiet <<<"$sums") || fail "a shipped file is not the one on its page"

# A model that was trained tells stories; three steps of training do not make one.
perplexity() { "$make_tiny" evaluate "$1" --stories 50 --ngram-stories 100 | sed -n "s/^$2 .*perplexity //p"; }
model=$(perplexity "$shipped" model)
untrained=$(perplexity "$work/first" model)
grammar=$(perplexity "$shipped" grammar)
awk -v m="$model" -v u="$untrained" -v g="$grammar" 'BEGIN { exit !(m > 0 && m < 1.05 * g && u > 5 * g) }' ||
  fail "perplexities on 50 stories: model $model, after three steps $untrained, grammar $grammar"
echo "tiny_reproducible: same bytes; perplexity $model (grammar $grammar)"
