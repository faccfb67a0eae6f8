#include "store/journal.h"

#include <gtest/gtest.h>

#include "store/reader.h"
#include "tests/store/rows.h"

namespace {

using namespace std::chrono_literals;
using store::Journal;
using store::JournalCounts;
using store::Reader;
using store_test::decision;
using store_test::Scratch;

store::Options options_at(const std::string& path) {
  store::Options options;
  options.path = path;
  options.keep_text = true;
  options.retention = {.age_s_max = 0, .text_age_s_max = 0, .rows_max = 0, .bytes_max = 0};
  return options;
}

std::chrono::steady_clock::time_point soon() {
  return std::chrono::steady_clock::now() + 20s;
}

TEST(Journal, WhatIsPutIsReadBackEqual) {
  const Scratch scratch;
  Journal journal(options_at(scratch.file()), {});
  Reader reader(scratch.file());
  for (std::uint64_t i = 0; i < 50; ++i) EXPECT_EQ(journal.put(decision(i)), i + 1);
  ASSERT_TRUE(journal.flush(soon()));
  EXPECT_EQ(journal.committed(), 50u);
  for (std::uint64_t i = 0; i < 50; ++i) {
    const auto found = reader.decision(store_test::id_of(i));
    ASSERT_TRUE(found) << i;
    EXPECT_EQ(found->fault, "");
    EXPECT_EQ(found->row, decision(i)) << i;
  }
  EXPECT_FALSE(reader.decision("dec_unknown"));
}

}  // namespace
