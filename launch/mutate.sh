#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Makes small wrong changes to the sampler, the estimators and learning, one at a time, and shows which of them the tests catch.
#
# usage: launch/mutate.sh [FIRST [LAST] | --check]
#
#   FIRST, LAST   numbers of changes, from 1 (default: all)
#   --check       only looks whether every change still fits the sources
#
# Works in a copy of the working tree in $TWISTOR_MUTATE (default: build/mutate), which keeps its build folder between calls.
# Each change costs a build of what it touches and the tests of smc, estimate and learn on one rank, about two minutes on two
# idle cores, so this is for hand and night, not for CI. Exits with 1 if less than 95 % are caught.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

only_check=0
case ${1:-} in
  -h | --help) print_help; exit 0 ;;
  --check) only_check=1; shift ;;
  *[!0-9]*) wrong_argument "expected a number, got '$1'" ;;
esac
copy=${TWISTOR_MUTATE:-$repo/build/mutate}
tests=(unit_base unit_smc unit_estimate unit_learn mpi_smc mpi_estimate mpi_learn)

# FILE | what is replaced | by what: plain texts, the first occurrence.
changes=$(cat <<'TABLE'
src/smc/sampler.cpp|out_.log_z + log_sum - log_sum_|out_.log_z + log_sum
src/smc/sampler.cpp|log_sum_ = std::log(static_cast<double>(options_.particles));|log_sum_ = 0;
src/smc/weighing.hpp|p.scores.log_sum_p0[n] - p.log_psi_of(node)|p.scores.log_sum_p0[n]
src/smc/weighing.hpp|? log_value - drawn.log_psi[j]|? log_value
src/smc/weighing.hpp|log_value - log_psi_before;|log_value + log_psi_before;
src/smc/weighing.hpp|drawn.log_p0[j] - drawn.log_q[j]|drawn.log_q[j] - drawn.log_p0[j]
src/smc/sampler.cpp|return of.ess() < options_.ess_threshold|return of.ess() > options_.ess_threshold
src/smc/sampler.cpp|if (t > 0) resample(who, t);|if (t > 1) resample(who, t);
src/smc/weighing.hpp|has_ended(p, node, end) ? 0.0 :|false ? 0.0 :
src/smc/sampler.cpp|: log_correction(mine.weights[i]|: 0 * log_correction(mine.weights[i]
src/smc/islands.cpp|islands_[i].seed, Stream::tokens|islands_[0].seed, Stream::tokens
src/smc/islands.cpp|state.pinned_id = next.pinned_id;|
src/smc/islands.cpp|parent, parents_w[static_cast<std::size_t>(parent)], state.log_sum);|parent, parents_w[static_cast<std::size_t>(parent)], 0);
src/smc/sampler.cpp|(*pinned_)[static_cast<std::size_t>(t)]|(*pinned_)[0]
src/smc/sampler.cpp|out_.pinned_id = mine.pinned_id;|
src/smc/census.cpp|if (n_left_[at(c)] == 0) ++c;|
src/smc/census.cpp|donor < 0 ? -1 : places[at(donor)]|-1
src/smc/exchange.cpp|{heritage.log_w, heritage.log_guide}|{heritage.log_w, heritage.log_w}
src/smc/archipelago.cpp|p.log_w[place] = log_mean +|p.log_w[place] = 0 * log_mean +
src/smc/archipelago.cpp|has_pinned ? found - island.places.begin() : -1|-1
src/smc/scheme.cpp|return log_w - log_sum -|return log_w - log_sum +
src/smc/scheme.cpp|result.pinned_slot = static_cast<std::int64_t>(d.pin_random().below(at(d.K)));|result.pinned_slot = 0;
src/smc/scheme.cpp|offsets[at(pinned_slot)] = pin.offset;|
src/smc/scheme.cpp|Point pin = pinned >= 0 ? pinned_point|Point pin = pinned >= d.K ? pinned_point
src/smc/scheme.cpp|const bool is_whole = slot < whole_ends|const bool is_whole = slot <= whole_ends
src/smc/scheme.cpp|offset(end.stratum) < end.offset|offset(end.stratum) > end.offset
src/smc/scheme.cpp|Philox(seed, Stream::conditional_slot, 0, 1).below(at(K))|0 * Philox(seed, Stream::conditional_slot, 0, 1).below(at(K))
src/smc/tensor_head.cpp|place[i] = next++;|place[i] = 0 * next++ + static_cast<std::int64_t>(i);
src/smc/tensor_head.cpp|own_rows.push_back(row_of[i] - begin);|own_rows.push_back(0);
src/smc/tensor_head.cpp|log_sums.narrow(0, begin,|log_sums.narrow(0, 0 * begin,
src/twist/body.cpp|sum.whole.add_(gradient)|sum.whole
src/smc/genealogy.cpp|-std::log1p(-1.0 / static_cast<double>(K))|std::log1p(-1.0 / static_cast<double>(K))
src/smc/genealogy.cpp|squares / (sum * sum)|squares / sum
src/smc/forced_pass.cpp|problem.lm.end_rule().carry(tokens, length, out.log_psi);|
include/twistor/base/reproducible_sum.hpp|squares.add(2 * log_w, times)|squares.add(log_w, times)
src/base/reproducible_sum.cpp|total.value * total.value / square.value|total.value / square.value
src/estimate/runs.cpp|exact_.sample(index_ % exact_.n)|exact_.sample(0)
src/estimate/runs.cpp|if (is_sis) options.trigger = smc::Trigger::never;|
src/estimate/runs.cpp|log_p0 + log_phi - log_q, log_phi|log_p0 + log_phi + log_q, log_phi
src/estimate/runs.cpp|log_q - log_p0,|log_p0 - log_q,
src/estimate/evaluation.cpp|e.log_z.value - f.mean|f.mean - e.log_z.value
src/estimate/evaluation.cpp|std::hypot(f.se, e.log_z.se)|f.se
src/estimate/evaluation.cpp|g.mean - e.log_z.high, g.mean - e.log_z.low|g.mean - e.log_z.low, g.mean - e.log_z.high
src/estimate/evaluation.cpp|clustered_mean_estimate(runs, n)|clustered_mean_estimate(runs, n + 1000)
src/estimate/log_z.cpp|std::abs(upper.mean - lower.mean)|(upper.mean - lower.mean)
src/estimate/log_z.cpp|0.5 * (lower.mean + upper.mean)|upper.mean
src/estimate/log_z.cpp|std::log(n / N) + count.log_bound|std::log(n / N)
src/estimate/certainty.cpp|- cost / n|- cost
src/estimate/certainty.cpp|mean.mean + variance / 2|mean.mean
src/estimate/exact_divergences.cpp|log_p0 + log_phi[i] - log_z_|log_p0 + log_phi[i]
src/estimate/exact_divergences.cpp|draws_forbidden_ \|= q > 0;|
src/learn/contrast.cpp|out.weight[at] = ratio + p.log_psi[at];|out.weight[at] = p.log_psi[at];
src/learn/contrast.cpp|log_w[i] += log_phi[i]|log_w[i] -= log_phi[i]
src/learn/contrast.cpp|sums[i].add(log_ratio[k] + power_of(i) * log_phi[k])|sums[i].add(log_ratio[k] + log_phi[k])
src/learn/positives.cpp|has_exact() ? 0.5 : 0.0|has_exact() ? 0.4 : 0.0
src/learn/positives.cpp|weight *= 1 - out.exact_share|weight *= 1
src/learn/positives.cpp|batch.request.n * batch.samples.T|batch.request.n
src/learn/objectives/ctl.cpp|-= step * positives.weighted[i]|+= step * positives.weighted[i]
src/learn/objectives/ctl.cpp|1.0 / static_cast<double>(T)|1.0
src/learn/positives.cpp|out[at] = weighted[at] / static_cast<double>(batch.samples.T)|out[at] = weighted[at]
src/learn/batch.cpp|std::exp(particle.log_w - sweep.log_weight_sum)|std::exp(particle.log_phi)
src/learn/batch.cpp|if (is_conditional && sweep.log_weight_sum != log_zero)|if (false)
src/learn/objectives/sixo.cpp|on_score[p.at(i, t)] = -w * sign *|on_score[p.at(i, t)] = -w *
src/learn/objectives/fudge.cpp|share * (psi - label)|share * psi
src/learn/objectives/rl.cpp|t + 1 < p.T ? next[p.at(i, t + 1)]|t + 1 < p.T ? next[p.at(i, t)]
src/learn/objectives/ppo.cpp|reward += p.log_p0[at] - p.log_q[at]|reward += p.log_p0[at]
src/learn/objectives/ppo.cpp|if (plain <= bounded) on_log_q[i]|if (plain >= bounded) on_log_q[i]
src/learn/objectives/ppo.cpp|options_.ppo_lambda * advantage|advantage
src/learn/trainer.cpp|problem_.lm.end_rule().move_to_end(p.tokens, p.T, terms.on_score[b]);|
src/learn/trainer.cpp|on_score[i] += on_log_q[i]|on_score[i] += 0
src/smc/log_q_rows.cpp|width, log_sum[row], -on_log_q[row]|width, log_sum[row], on_log_q[row]
src/learn/trainer.cpp|if (!report.skipped.empty()) break;|
src/learn/positives.cpp|if (ended[i] != 0) numbers[i] = 0;|if (ended[i] > 1) numbers[i] = 0;
src/learn/objectives/ctl.cpp|for (double& weight : on_log_q) weight = -weight;|
src/device/cpu/adam.cpp|p[i] -= s.rate|p[i] += s.rate
src/device/cuda/row_kernels.cuh|row < 0 ? 0.0f :|row < 0 ? 1.0f :
src/learn/adam.cpp|1.0 / std::sqrt(1.0 - std::pow(o.beta2, n))|1.0
TABLE
)

if ((only_check)); then
  cd "$repo"
  python3 - "$changes" <<'PYTHON' || fail 70 "changes do not fit the sources" "bring the table in launch/mutate.sh up to date"
import pathlib, sys
lines = [line.replace("\\|", "\x01").split("|") for line in sys.argv[1].split("\n")]
bad = [line for line in lines if len(line) != 3 or line[1].replace("\x01", "|") not in pathlib.Path(line[0]).read_text()]
for line in bad: print("does not fit: " + "|".join(line))
print(f"{len(lines)} changes looked at")
sys.exit(1 if bad else 0)
PYTHON
  exit 0
fi

mkdir -p "$copy"
(cd "$repo" && git ls-files -z --cached --others --exclude-standard | tar -c --null -T - -f -) | tar -x -C "$copy" -f -
cd "$copy"
# An earlier call leaves objects of changed sources, and unpacking sets the sources' old times.
[[ ! -s changed.txt ]] || xargs touch <changed.txt
[[ -f build/build.ninja ]] || cmake --preset release -B build >build.log 2>&1 || fail 70 "configuring failed" "see $copy/build.log"

# passes FILE: whether all tests pass; stops at the first that does not. Those of the file's room are asked first, and what is
# not asked is not built.
passes() {
  local name room
  room=${1#src/} room=${room#include/twistor/} room=${room%%/*}
  for name in $(printf '%s\n' "${tests[@]}" | grep "_$room\$") $(printf '%s\n' "${tests[@]}" | grep -v "_$room\$"); do
    ninja -C build "$name" >build.log 2>&1 || { echo 'the compiler' >caught.txt; return 1; }
    timeout 600 "build/$name" --gtest_brief=1 --gtest_fail_fast >test.log 2>&1 || {
      grep -m1 -oE '\[  FAILED  \] [^ ,]+' test.log | cut -d' ' -f6- >caught.txt || echo "an error of $name" >caught.txt
      return 1
    }
  done
}

passes src/base/none.cpp || fail 70 "the unchanged tree fails its tests" "see $copy/build.log and $copy/test.log"
: >changed.txt
number=0 tried=0 caught=0
while IFS= read -r line; do
  number=$((number + 1))
  ((number >= ${1:-1} && number <= ${2:-$number})) || continue
  line=${line//\\|/$'\x01'}
  IFS='|' read -r file old new <<<"$line"
  old=${old//$'\x01'/|} new=${new//$'\x01'/|}
  echo "$file" >>changed.txt
  python3 - "$file" "$old" "$new" <<'PYTHON' || fail 70 "change $number does not fit $file" "bring the table in launch/mutate.sh up to date"
import pathlib, sys
file, old, new = pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3]
text = file.read_text()
sys.exit(1) if old not in text else file.write_text(text.replace(old, new, 1))
PYTHON
  tried=$((tried + 1))
  verdict=SURVIVES
  passes "$file" || verdict="caught by $(cat caught.txt)"
  [[ $verdict == SURVIVES ]] || caught=$((caught + 1))
  printf '%3d  %-34s %-60.60s  %s\n' "$number" "$file" "$old" "$verdict"
  cp -p "$repo/$file" "$file"
  touch "$file"
done <<<"$changes"
printf '%d of %d changes caught\n' "$caught" "$tried"
((caught * 100 >= tried * 95))
