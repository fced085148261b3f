// SPDX-License-Identifier: Apache-2.0
// Sentence vectors of many texts: the share of the product rate that is measured in the same run.
//
// usage: bench_encoder [FOLDER [TEXTS [TOKENS]]]    default: MiniLM in the cache, 64 texts of 32 tokens
#include <fmt/core.h>

#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "bench_tools.hpp"
#include "twistor/device/packed_matrix.hpp"
#include "twistor/model/encoder.hpp"

namespace {

using namespace twistor;

constexpr int repeats = 15;
constexpr std::int64_t layers = 6, width = 384, inner = 1536;  // MiniLM's

std::string default_folder() {
  const char* cache = std::getenv("TWISTOR_CACHE");
  const char* home = std::getenv("HOME");
  return (cache != nullptr ? std::string(cache)
                           : std::string(home == nullptr ? "/" : home) + "/.cache/twistor") +
         "/models/minilm";
}

model::TokenTexts some_texts(const model::Encoder& encoder, std::int64_t n, std::int64_t length) {
  model::TokenTexts texts;
  for (std::int64_t i = 0; i < n; ++i)
    texts.add(bench::some_tokens(length, encoder.vocab_size(), static_cast<std::uint64_t>(i)),
              std::vector<std::int64_t>(static_cast<std::size_t>(length), 0));
  return texts;
}

/// Seconds of the products of one pass over so many rows, and their floating-point operations.
struct Products {
  double time_s = 0, flops = 0;
};

Products products(std::int64_t rows, device::Precision precision) {
  struct Shape {
    std::int64_t n, k;
  };
  Products out;
  for (const Shape shape : {Shape{3 * width, width}, {width, width}, {inner, width}, {width, inner}}) {
    device::PackedBuffer w(shape.n, shape.k, precision);
    w.matrix().pack_rows(0, std::vector<float>(static_cast<std::size_t>(shape.n * shape.k), 0.5F));
    const std::vector<float> x(static_cast<std::size_t>(rows * shape.k), 0.5F);
    std::vector<float> y(static_cast<std::size_t>(rows * shape.n));
    out.time_s += static_cast<double>(layers) *
                  bench::best_time(repeats, [&] { device::multiply(x, rows, w.matrix(), y); });
    out.flops += static_cast<double>(layers) * 2.0 * static_cast<double>(rows * shape.n * shape.k);
  }
  return out;
}

void run(int argc, char** argv) {
  const std::string folder = argc > 1 ? argv[1] : default_folder();
  const std::int64_t n = argc > 2 ? std::stoll(argv[2]) : 64, length = argc > 3 ? std::stoll(argv[3]) : 32;
  fmt::print("{} texts of {} tokens, {} threads; goal: share of the products' rate >= 0.6\n", n, length,
             omp_get_max_threads());
  fmt::print("{:<10}{:>12}{:>12}{:>14}{:>16}{:>8}\n", "dtype", "texts/s", "ms", "products ms",
             "products GFLOP/s", "share");
  for (const auto precision : {device::Precision::float32, device::Precision::bfloat16}) {
    const auto encoder = model::load_encoder(folder, {precision, {}});
    TWISTOR_CHECK(encoder->width() == width, ErrorKind::usage, "measuring the encoder",
                  fmt::format("expected MiniLM's width {}, got {}", width, encoder->width()));
    const model::TokenTexts texts = some_texts(*encoder, n, length);
    const double time =
        bench::best_time(repeats, [&] { encoder->run(texts, [](std::int64_t, std::span<const float>) {}); });
    const Products ceiling = products(n * length, precision);
    fmt::print("{:<10}{:>12.0f}{:>12.2f}{:>14.2f}{:>16.0f}{:>8.2f}  {}\n",
               precision == device::Precision::float32 ? "float32" : "bfloat16",
               static_cast<double>(n) / time, 1e3 * time, 1e3 * ceiling.time_s,
               1e-9 * ceiling.flops / ceiling.time_s, ceiling.time_s / time,
               bench::goal(ceiling.time_s / time >= 0.6));
  }
}

}  // namespace

int main(int argc, char** argv) {
  return bench::run_main([&] { run(argc, argv); });
}
