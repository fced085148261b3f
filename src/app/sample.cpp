// `twistor sample`: sequences of the target with their weights, as JSON Lines.
#include <fmt/format.h>

#include <cmath>
#include <numeric>
#include <optional>

#include "twistor/app/commands.hpp"
#include "twistor/app/signals.hpp"
#include "twistor/app/twist_store.hpp"
#include "twistor/app/unfinished.hpp"
#include "twistor/base/log.hpp"
#include "twistor/base/log_space.hpp"
#include "twistor/base/philox.hpp"
#include "twistor/comm/collectives.hpp"
#include "twistor/report/json_line.hpp"
#include "twistor/report/progress.hpp"

namespace twistor::app {
namespace {

/// One population's lines, in order of ids; empty on ranks other than the group's first.
/// log_weight = log Z_hat + log W: its exponential, summed over a population, is that population's estimate
/// of Z.
std::string lines_of(const Session& session, const smc::Sweep& sweep, std::int64_t population) {
  const smc::Population& p = sweep.particles;
  struct Row {
    std::int64_t id;
    double log_weight, log_p0, log_phi, log_q;
  };
  std::vector<Row> rows;
  const auto total = [&](const std::vector<double>& x, std::int64_t i) {
    return std::accumulate(x.begin() + i * p.T, x.begin() + (i + 1) * p.T, 0.0);
  };
  for (std::int64_t i = 0; i < p.size(); ++i) {
    const auto at = static_cast<std::size_t>(i);
    rows.push_back({p.ids[at],
                    sweep.log_z == log_zero ? log_zero : sweep.log_z + p.log_w[at] - sweep.log_weight_sum,
                    total(p.log_p0, i), sweep.log_phi[at], total(p.log_q, i)});
  }
  const comm::Communicator& group = session.groups().group;
  const std::vector<Row> all = comm::all_gather(std::span<const Row>(rows), group);
  const std::vector<std::int64_t> tokens = comm::all_gather(std::span<const std::int64_t>(p.tokens), group);
  std::vector<std::size_t> order(all.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(), [&](auto a, auto b) { return all[a].id < all[b].id; });
  std::string out;
  for (const std::size_t i : order) {
    const auto ids =
        std::span(tokens).subspan(i * static_cast<std::size_t>(p.T), static_cast<std::size_t>(p.T));
    report::JsonLine line;
    line.add("population", population).add("id", all[i].id).add("ids", std::span<const std::int64_t>(ids));
    if (session.tokenizer() != nullptr) line.add("text", session.decode(ids));
    line.add("log_weight", all[i].log_weight)
        .add("log_p0", all[i].log_p0)
        .add("log_phi", all[i].log_phi)
        .add("log_q", all[i].log_q);
    out += line.text() + "\n";
  }
  return group.rank() == 0 ? out : std::string{};
}

/// Lines of all populations, on every rank. Groups take the populations in turn; the last round may leave
/// some without work. *Collective over the world.* Throws Stopped after a signal; whole rounds are kept.
std::string all_lines(const Session& session, const smc::Proposal& proposal, const Unfinished& unfinished) {
  const Config& config = session.config();
  const smc::Problem problem = session.problem();
  const std::int64_t K = config.smc.particles, n_populations = (config.sample.count + K - 1) / K;
  // What is kept begins with the number of populations that it has.
  std::string text = unfinished.load_text();
  const std::size_t head = text.find('\n');
  std::int64_t first = head == std::string::npos ? 0 : std::stoll(text.substr(0, head));
  text.erase(0, head == std::string::npos ? text.size() : head + 1);
  const Interrupt interrupt = session.interrupt();
  report::ProgressLine progress(session.progress());
  for (; first < n_populations; first += session.groups().n_groups) {
    progress.update(fmt::format("samples: {} of {} populations", first, n_populations),
                    {first, n_populations});
    const std::int64_t population = first + session.groups().group_index;
    std::optional<smc::Sweep> sweep;
    if (population < n_populations) {
      smc::SweepOptions options = session.sweep_options();
      options.particles = std::min(K, config.sample.count - population * K);
      options.seed = derive_seed(config.run.seed, Stream::repeat,
                                 (std::uint64_t{1} << 32) + static_cast<std::uint64_t>(population));
      options.wish = [] { return pending_signal() != 0; };
      sweep.emplace(smc::sweep(problem, proposal, options, session.groups().group));
    }
    // A sweep that was cut short is thrown away.
    if (interrupt()) {
      progress.finish();
      unfinished.save(fmt::format("{}\n{}", first, text));
      session.stop(
          fmt::format("{} of {} populations of samples are kept; run again to go on", first, n_populations));
    }
    const std::string mine = sweep ? lines_of(session, *sweep, population) : std::string{};
    const std::vector<char> round =
        comm::all_gather(std::span<const char>(mine.data(), mine.size()), session.world());
    text.append(round.begin(), round.end());
  }
  unfinished.remove();
  return text;
}

}  // namespace

int sample(const Invocation& invocation) {
  const Session session(invocation.config, invocation.config_file);
  const Config& config = session.config();
  const std::string& given = config.evaluate.checkpoint;
  const store::Checkpoint checkpoint =
      store::load_checkpoint(given.empty() ? session.output("checkpoint.h5") : output_path(given));
  require_fits(session, checkpoint, Purpose::use);
  const auto twist = session.make_twist();
  set_parameters(*twist, checkpoint);
  const smc::Proposal proposal = session.make_proposal(*twist);

  const std::string text =
      all_lines(session, proposal, Unfinished(session, "samples.partial.h5", work_key(session, *twist, {})));
  if (session.is_root()) {
    const std::filesystem::path file =
        config.sample.path.empty() ? session.output("samples.jsonl") : output_path(config.sample.path);
    report::write_text_atomically(file.string(), text);
    log_info(fmt::format("{} samples written to {}", config.sample.count, file.string()));
  }
  return 0;
}

}  // namespace twistor::app
