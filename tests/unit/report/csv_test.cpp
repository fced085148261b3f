// SPDX-License-Identifier: Apache-2.0
// Comma-separated values by RFC 4180.
#include "twistor/report/csv.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace twistor::report {
namespace {

std::string line(const std::vector<std::string>& fields) {
  return csv_line(fields);
}

TEST(Csv, QuotesWhatWouldBeReadAsSomethingElse) {
  EXPECT_EQ(line({"a", "b c", ""}), "a,b c,\n");
  EXPECT_EQ(line({"a,b", "say \"x\"", "l1\nl2", "cr\r"}), "\"a,b\",\"say \"\"x\"\"\",\"l1\nl2\",\"cr\r\"\n");
  EXPECT_EQ(line({""}), "\"\"\n") << "an empty line is no record";
}

TEST(Csv, CountsRecordsNotLines) {
  EXPECT_EQ(count_csv_records(""), 0);
  EXPECT_EQ(count_csv_records("a\n"), 1);
  EXPECT_EQ(count_csv_records("a\nb"), 2);
  EXPECT_EQ(count_csv_records(line({"a\nb", "\"\n\""}) + line({"c", "\"\""})), 2);
}

}  // namespace
}  // namespace twistor::report
