// The tables of the knowledge file, as numbered migrations (store/schema.h applies them).
#pragma once

#include <span>
#include <string_view>

#include "store/db.h"

namespace store {

std::span<const std::string_view> knowledge_migrations();

struct KnowledgeOptions;

/// The file, made or migrated if it must be.
Db open_knowledge(const KnowledgeOptions& options);

/// How words are cut and folded: SQLite's tokenizer with its arguments, for the index and, by
/// store/knowledge_terms.h, for queries. Changing it needs a migration that rebuilds the index.
inline constexpr std::string_view kTokenizer = "porter";
inline constexpr const char* kTokenizerArguments[] = {"unicode61", "remove_diacritics", "2"};

/// Passage ids begin with their collection, so that a search in one is a range of rowids.
inline constexpr int kCollectionShift = 40;

}  // namespace store
