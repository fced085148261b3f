// SPDX-License-Identifier: Apache-2.0
// Sentence vectors of many texts: the share of the product rate that is measured in the same run.
//
// usage: bench_encoder [FOLDER [TEXTS [TOKENS [DEVICE [KERNELS]]]]]
//        FOLDER: of an encoder, or "random-bert", BERT-base with random weights, or "random-deberta", the
//        same with DeBERTa-v3's attention, or "random-deberta-convolution", with the larger DeBERTa-v2's
//        convolution too; default: MiniLM in the cache, 64 texts of 32 tokens, cpu auto
#include <ATen/core/Tensor.h>
#include <fmt/core.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "bench_tools.hpp"
#include "twistor/base/names.hpp"
#include "twistor/device/choose.hpp"
#include "twistor/format/json_file.hpp"
#include "twistor/model/encoder.hpp"

namespace {

using namespace twistor;

constexpr int repeats = 15;
std::string default_folder() {
  const char* cache = std::getenv("TWISTOR_CACHE");
  const char* home = std::getenv("HOME");
  return (cache != nullptr ? std::string(cache)
                           : std::string(home == nullptr ? "/" : home) + "/.cache/twistor") +
         "/models/minilm";
}

/// That of an encoder, made where it is one of the random ones.
std::filesystem::path folder_of(const std::string& name) {
  const std::filesystem::path scratch = bench::scratch_folder();
  if (name == "random-bert") return test::make_random_bert_base(scratch / "twistor-bench-bert");
  if (name == "random-deberta") return test::make_random_deberta_base(scratch / "twistor-bench-deberta");
  if (name == "random-deberta-convolution")
    return test::make_random_deberta_base(scratch / "twistor-bench-deberta-convolution", true);
  return name;
}

model::TokenTexts some_texts(const model::Encoder& encoder, std::int64_t n, std::int64_t length) {
  model::TokenTexts texts;
  for (std::int64_t i = 0; i < n; ++i)
    texts.add(bench::some_tokens(length, encoder.vocab_size(), static_cast<std::uint64_t>(i)),
              std::vector<std::int64_t>(static_cast<std::size_t>(length), 0));
  return texts;
}

/// Sizes of config.json.
struct Sizes {
  std::int64_t layers, width, inner;
};

Sizes read_sizes(const std::filesystem::path& folder) {
  const format::JsonFile file(folder / "config.json");
  const format::JsonView config = file.view();
  return {config.at("num_hidden_layers").integer(), config.at("hidden_size").integer(),
          config.at("intermediate_size").integer()};
}

/// Seconds of the products of one pass over so many rows, and their floating-point operations.
struct Products {
  double time_s = 0, flops = 0;
};

/// By ours on the CPU; elsewhere by the engine.
Products products(const device::Engine& engine, const Sizes& sizes, std::int64_t rows,
                  device::Precision precision) {
  const auto [layers, width, inner] = sizes;
  struct Shape {
    std::int64_t n, k;
  };
  Products out;
  for (const Shape shape : {Shape{3 * width, width}, {width, width}, {inner, width}, {width, inner}}) {
    device::Linear w{engine.make_weight(shape.n, shape.k, precision), {}};
    engine.write_rows(w.weight, 0, std::vector<float>(static_cast<std::size_t>(shape.n * shape.k), 0.5F));
    const at::Tensor x = engine.empty({rows, shape.k}).fill_(0.5);
    at::Tensor y = engine.empty({rows, shape.n});
    out.time_s += static_cast<double>(layers) * bench::best_time(repeats, [&] {
                    engine.project(x, w, y);
                    (void)device::to_host(y.select(0, 0));  // waits
                  });
    out.flops += static_cast<double>(layers) * 2.0 * static_cast<double>(rows * shape.n * shape.k);
  }
  return out;
}

void run(int argc, char** argv) {
  const std::vector<std::string> words(argv + 1, argv + argc);
  const auto word = [&](std::size_t i, const std::string& otherwise) {
    return words.size() > i ? words[i] : otherwise;
  };
  const auto place = from_name<device::Place>(word(3, "cpu"), "DEVICE");
  const auto kernels = from_name<device::KernelChoice>(word(4, "auto"), "KERNELS");
  const auto any = device::make_engine(place, kernels, 0);  // before the first tensor
  const std::filesystem::path folder = folder_of(word(0, default_folder()));
  const Sizes sizes = read_sizes(folder);
  const std::int64_t n = std::stoll(word(1, "64")), length = std::stoll(word(2, "32"));
  fmt::print("{}: {} texts of {} tokens, {} threads; goal on a CPU: share of the products' rate >= 0.6\n",
             any->description(), n, length, omp_get_max_threads());
  fmt::print("{:<10}{:>12}{:>12}{:>14}{:>16}{:>8}\n", "dtype", "texts/s", "ms", "products ms",
             "products GFLOP/s", "share");
  for (const auto precision : {device::Precision::float32, device::Precision::bfloat16}) {
    const auto engine = any->for_precision(precision);
    model::LoadOptions options;
    options.precision = precision;
    options.engine = engine;
    const auto encoder = model::load_encoder(folder, options);
    const model::TokenTexts texts = some_texts(*encoder, n, length);
    const double time =
        bench::best_time(repeats, [&] { (void)encoder->pool(texts, device::Pooling::first).to(at::kCPU); });
    const Products ceiling = products(*engine, sizes, n * length, precision);
    fmt::print("{:<10}{:>12.0f}{:>12.2f}{:>14.2f}{:>16.0f}{:>8.2f}  {}\n", name_of(precision),
               static_cast<double>(n) / time, 1e3 * time, 1e3 * ceiling.time_s,
               1e-9 * ceiling.flops / ceiling.time_s, ceiling.time_s / time,
               bench::goal(ceiling.time_s / time >= 0.6));
  }
}

}  // namespace

int main(int argc, char** argv) {
  return bench::run_main([&] { run(argc, argv); });
}
