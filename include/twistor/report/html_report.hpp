// SPDX-License-Identifier: Apache-2.0
// A run's folder as one page to look at: report.html.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "twistor/report/sink.hpp"

namespace twistor::report {

/// A page of its own, without script or anything from outside: what was asked, whether to trust the result,
/// the table of evaluations, curves, texts, costs, and every number of the summary. It is made of what lies
/// in the folder, so that it can be made anew at any time: summary.json, and metrics.jsonl, samples.jsonl and
/// results.h5 if they are there. *Local.* Throws Error(no_input) without a summary, Error(data) if it is
/// none.
[[nodiscard]] std::string html_report(const std::filesystem::path& folder);

/// html_report() as FOLDER/report.html; returns the file. *Local.* Throws Error(io) too.
std::filesystem::path write_html_report(const std::filesystem::path& folder);

/// The same at the end of work that is saved already: if it cannot be made, the log says so. *Local.*
void try_html_report(const std::filesystem::path& folder);

/// try_html_report() when the run is finished; follows summary_file() among the sinks.
[[nodiscard]] std::unique_ptr<Sink> html_file(const std::filesystem::path& folder);

}  // namespace twistor::report
