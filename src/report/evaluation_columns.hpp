// SPDX-License-Identifier: Apache-2.0
// Numbers of many rows of evaluations as columns, for tables and for arrays in files.
#pragma once

#include <string>
#include <vector>

#include "twistor/report/sink.hpp"

namespace twistor::report {

/// One number of every row; NaN where it is not known.
struct NumberColumn {
  std::string name;  ///< "twist.kl.q_sigma.mean", "length"
  std::vector<double> values;
};

/// Adds a column with what `get` says of each row.
template <class Row, class Get>
void add_column(std::vector<NumberColumn>& columns, const std::vector<Row>& rows, std::string name,
                const Get& get) {
  NumberColumn column{std::move(name), {}};
  for (const Row& row : rows) column.values.push_back(static_cast<double>(get(row)));
  columns.push_back(std::move(column));
}

/// The evaluations of each row, which have the same samplers in the same order.
using EvaluationRows = std::vector<const std::vector<NamedEvaluation>*>;
template <class Row>
[[nodiscard]] EvaluationRows evaluations_of(const std::vector<Row>& rows) {
  EvaluationRows out;
  for (const Row& row : rows) out.push_back(&row.evaluations);
  return out;
}

/// Adds the numbers of all samplers, in a fixed order. *Local.*
void add_evaluation_columns(std::vector<NumberColumn>& columns, const EvaluationRows& rows);

/// A csv record of what a row is called and its place in the columns; nothing where a number is not known.
[[nodiscard]] std::string csv_record(std::vector<std::string> fields,
                                     const std::vector<NumberColumn>& columns, std::size_t row);

/// Upper less lower SMC bound. *Local.*
[[nodiscard]] double bound_gap(const estimate::Evaluation& e);
/// P(event). Where no run has met the event, their estimate of Z is 0: without it a mean would be that of the
/// targets whose event is not rare. *Local.*
[[nodiscard]] double probability_or_zero(const estimate::Evaluation& e);
/// Of those that are known; n = 0 if none is. *Local.*
[[nodiscard]] estimate::Estimate mean_over_known(const std::vector<double>& values);
/// Four digits after the point, "-" where it is not known. *Local.*
[[nodiscard]] std::string short_number(double x);

}  // namespace twistor::report
