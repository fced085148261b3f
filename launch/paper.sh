#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Trains all methods on one task of Zhao et al. (2024) over several seeds and prints the table, at full scale with the paper's beside it.
#
# usage: launch/paper.sh TABLE [OPTION...] [--section.key=value ...]
#
#   TABLE              toxicity, sentiment, threshold, infill-15-10 or infill-2-1
#   --scale S          small (default): the same structure on the model that comes along, in minutes; full: the paper's settings, for which
#                      you bring the models
#   --model PATH       the language model (full; default: as configs/paper/TABLE.cfg says)
#   --model smollm2    small: on SmolLM2-135M instead of the model that comes along, which is fetched (toxicity alone; a quarter of an hour)
#   --classifier PATH  the classifier (full; likewise)
#   --methods M,M,...  some of ctl,rl,sixo,fudge,dpg,ppo and ratio, the authors' later form with low-rank additions (default: all but it; on
#                      smollm2 without ppo, which takes as long as the others together)
#   --seeds N          runs of each method (default: 3 for small, 1 on smollm2, 5 for full)
#   --ranks N          ranks of each run (default: 1 for small, 2 for full)
#   --output FOLDER    where runs and tables go (default: runs/paper/TABLE_SCALE)
#
# All runs share one set of exact samples and one log Z. One that was interrupted goes on where it was; those that have ended are not run
# again. The table is printed, and written as table.md, table.csv and table.h5 in the output folder.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

# What learning rate a method has on which task: the paper's at full scale; at small scale what suits models/tiny.
learning_rate() {
  case $scale:$table:$1 in
    small:*:fudge) echo 0.003 ;;
    small:*) echo 0.001 ;;
    full:toxicity:fudge) echo 1e-4 ;;
    full:toxicity:ppo) echo 1e-6 ;;
    full:toxicity:* | full:threshold:*) echo 3e-5 ;;
    full:sentiment:fudge) echo 1e-3 ;;
    full:sentiment:ppo) echo 1e-5 ;;
    full:infill-15-10:ctl) echo 3e-6 ;;
    full:infill-15-10:fudge) echo 1e-6 ;;
    full:infill-15-10:rl | full:infill-*:ppo) echo 3e-5 ;;
    *) echo 1e-4 ;;
  esac
}

# Where twists see observations: how many share the 100 samples of an update. ctl wants several samples of each, and so does fudge, half of
# whose samples are rerolled.
observations() {
  case $table:$1 in
    infill-15-10:ctl) echo 25 ;;
    infill-2-1:ctl) echo 10 ;;
    infill-*:fudge) echo 50 ;;
    infill-*) echo 100 ;;
    *) echo 16 ;; # the default: nothing reads it
  esac
}

table='' model='' scale=small methods='' seeds='' ranks='' output='' keys=()
value_of() { (($# > 1)) || wrong_argument "$1 needs a value"; printf '%s\n' "$2"; }
while (($#)); do
  case $1 in
    -h | --help) print_help; exit 0 ;;
    --scale) scale=$(value_of "$@"); shift ;;
    --model) model=$(value_of "$@"); shift ;;
    --classifier) keys+=("--target.classifier=$(value_of "$@")"); shift ;;
    --methods) methods=$(value_of "$@"); shift ;;
    --seeds) seeds=$(value_of "$@"); shift ;;
    --ranks) ranks=$(value_of "$@"); shift ;;
    --output) output=$(value_of "$@"); shift ;;
    --*.*=*) keys+=("$1") ;;
    toxicity | sentiment | threshold | infill-15-10 | infill-2-1) [[ -z $table ]] || wrong_argument "expected one table, got '$table' and '$1'"; table=$1 ;;
    *) wrong_argument "unknown argument '$1'" ;;
  esac
  shift
done
[[ -n $table ]] || wrong_argument "expected a table: toxicity, sentiment, threshold, infill-15-10 or infill-2-1"
settings=$scale fetched=() # fetched: what launch/get_model.sh calls the models
if [[ $scale == small && $model == smollm2 ]]; then
  [[ $table == toxicity ]] || fail 64 "there is no small table of $table on smollm2" "toxicity has one; leave --model out for the others"
  settings=smollm2 fetched=(smollm2 toxicity)
elif [[ -n $model ]]; then
  keys+=("--model.path=$model")
fi
case $settings in
  small) config=configs/paper/${table}_small.cfg seeds=${seeds:-3} ranks=${ranks:-1} ;;
  smollm2) config=configs/paper/${table}_smollm2.cfg seeds=${seeds:-1} ranks=${ranks:-1} ;;
  full) config=configs/paper/$table.cfg seeds=${seeds:-5} ranks=${ranks:-2} ;;
  *) wrong_argument "--scale is small or full, got '$scale'" ;;
esac
[[ $seeds =~ ^[1-9][0-9]*$ ]] || wrong_argument "--seeds needs a number of runs, got '$seeds'"
[[ $ranks =~ ^[1-9][0-9]*$ ]] || wrong_argument "--ranks needs a number of ranks, got '$ranks'"
[[ -n $methods || $settings != smollm2 ]] || methods=ctl,rl,sixo,fudge,dpg
methods=${methods:-ctl,rl,sixo,fudge,dpg,ppo}
for method in ${methods//,/ }; do
  [[ $method =~ ^(ctl|rl|sixo|fudge|dpg|ppo|ratio)$ ]] || wrong_argument "there is no method '$method'"
done

"$repo/launch/setup.sh"
"$repo/launch/build.sh" release twistor
cd "$repo"
for name in "${fetched[@]}"; do launch/get_model.sh "$name" >/dev/null; done
output=${output:-runs/paper/${table}_$settings}
mkdir -p "$output"

runs=()
for ((seed = 1; seed <= seeds; ++seed)); do
  for method in ${methods//,/ }; do
    run=$output/$method.$seed
    runs+=("$run")
    [[ -f $run/summary.json ]] && continue
    form=()
    [[ $method != ratio ]] || form=(--twist.form=ratio --twist.body=lora)
    say "$method, seed $seed of $seeds: $run"
    "$repo/launch/mpirun.sh" -n "$ranks" -- "$repo/build/release/twistor" train "$config" "--train.objective=$method" \
      "--train.learning_rate=$(learning_rate "$method")" "--run.seed=$seed" "--exact.path=$output/exact.h5" "--run.output=$run" \
      "--train.observations=$(observations "$method")" "${form[@]}" "${keys[@]}" \
      >"$output/$method.$seed.log"
  done
done

compare=("$repo/build/release/twistor" compare "${runs[@]}" --by train.objective)
[[ $scale == small || ! -f configs/paper/${table}_published.csv ]] || compare+=(--beside "configs/paper/${table}_published.csv")
"${compare[@]}" --format markdown --output "$output/table.h5" >"$output/table.md"
"${compare[@]}" --format csv >"$output/table.csv"
"${compare[@]}"
say "it took $(duration "$SECONDS"); tables: $output/table.md, table.csv, table.h5"
