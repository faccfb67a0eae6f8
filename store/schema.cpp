#include "store/schema.h"

#include <array>
#include <string>

namespace store {
namespace {

// `seq` is the order of the log: rows are only appended, and only the oldest are deleted. Columns
// that lists filter by come before the long ones, so that a scan does not touch overflow pages.
constexpr std::string_view kFirst = R"sql(
CREATE TABLE decisions(
  seq INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  unix_us INTEGER NOT NULL,
  pool TEXT,
  expert TEXT,
  model TEXT,
  outcome TEXT,
  reason TEXT,
  mode TEXT,
  gate TEXT,
  finish_reason TEXT,
  abstained INTEGER NOT NULL,
  stream INTEGER NOT NULL,
  propensity REAL NOT NULL,
  policy_version INTEGER NOT NULL,
  query_hash INTEGER NOT NULL,
  features_hash INTEGER NOT NULL,
  seed INTEGER NOT NULL,
  prompt_tokens INTEGER NOT NULL,
  completion_tokens INTEGER NOT NULL,
  cached_tokens INTEGER NOT NULL,
  cost_microusd INTEGER NOT NULL,
  decide_us INTEGER NOT NULL,
  first_byte_us INTEGER,
  total_us INTEGER NOT NULL,
  calls BLOB NOT NULL,
  route BLOB
) STRICT;

CREATE TABLE texts(
  seq INTEGER PRIMARY KEY REFERENCES decisions(seq) ON DELETE CASCADE,
  text TEXT NOT NULL
) STRICT;

CREATE TABLE feedback(
  seq INTEGER PRIMARY KEY AUTOINCREMENT, -- readers go on from the last one, which may be deleted
  decision_id TEXT NOT NULL REFERENCES decisions(id) ON DELETE CASCADE,
  unix_us INTEGER NOT NULL,
  score REAL NOT NULL CHECK(score BETWEEN 0 AND 1),
  correct_answer TEXT,
  comment TEXT,
  user_hash TEXT
) STRICT;
CREATE INDEX feedback_of_decision ON feedback(decision_id);

CREATE TABLE outcomes(
  seq INTEGER PRIMARY KEY,
  decision_id TEXT REFERENCES decisions(id) ON DELETE SET NULL,
  unix_us INTEGER NOT NULL,
  query_hash INTEGER NOT NULL,
  expert TEXT,
  score REAL NOT NULL CHECK(score BETWEEN 0 AND 1),
  weight REAL NOT NULL CHECK(weight >= 0),
  kind TEXT NOT NULL,
  grader TEXT
) STRICT;
CREATE INDEX outcomes_of_decision ON outcomes(decision_id) WHERE decision_id IS NOT NULL;

CREATE TABLE policies(
  version INTEGER PRIMARY KEY,
  parent INTEGER,
  status TEXT NOT NULL,
  created_us INTEGER NOT NULL,
  path TEXT,
  bytes BLOB,
  sha256 TEXT,
  metrics_json TEXT,
  note TEXT
) STRICT;

CREATE TABLE losses(
  seq INTEGER PRIMARY KEY,
  since_us INTEGER NOT NULL,
  until_us INTEGER NOT NULL,
  rows INTEGER NOT NULL
) STRICT;
)sql";

constexpr std::string_view kPanels = R"sql(
ALTER TABLE decisions ADD COLUMN confidence REAL NOT NULL DEFAULT 0;
ALTER TABLE decisions ADD COLUMN changed INTEGER NOT NULL DEFAULT 0;
)sql";

// What administrators change (store/admin_book.h). `before` and `after` are what the database said
// of a resource: NULL nothing (the file owns it), the JSON text `null` removed, else its document.
// `*_seen` is what was in force, whoever owned it: for people.
constexpr std::string_view kAdmin = R"sql(
CREATE TABLE admin_versions(
  version INTEGER PRIMARY KEY,
  unix_us INTEGER NOT NULL,
  author TEXT NOT NULL,
  verb TEXT NOT NULL,
  comment TEXT NOT NULL
) STRICT;

CREATE TABLE admin_changes(
  version INTEGER NOT NULL REFERENCES admin_versions(version) ON DELETE CASCADE,
  kind TEXT NOT NULL,
  name TEXT NOT NULL,
  before TEXT,
  after TEXT,
  before_seen TEXT,
  after_seen TEXT,
  PRIMARY KEY(version, kind, name)
) STRICT;

CREATE TABLE admin_resources(
  kind TEXT NOT NULL,
  name TEXT NOT NULL,
  document TEXT NOT NULL,
  version INTEGER NOT NULL,
  PRIMARY KEY(kind, name)
) STRICT;

CREATE TABLE keys(
  id TEXT PRIMARY KEY,
  hash TEXT NOT NULL UNIQUE, -- SHA-256 of the key, hex; the key itself is nowhere
  prefix TEXT NOT NULL,
  role TEXT NOT NULL,
  created_us INTEGER NOT NULL,
  expires_us INTEGER,
  revoked_us INTEGER,
  terms TEXT NOT NULL
) STRICT;

CREATE TABLE key_spend(
  key_id TEXT NOT NULL REFERENCES keys(id) ON DELETE CASCADE,
  day INTEGER NOT NULL,      -- days since 1970-01-01, UTC
  microusd INTEGER NOT NULL,
  PRIMARY KEY(key_id, day)
) STRICT;
)sql";

// Evaluation runs (store/eval_book.h). 0: not yet.
constexpr std::string_view kEvalRuns = R"sql(
CREATE TABLE eval_runs(
  id TEXT PRIMARY KEY,
  status TEXT NOT NULL CHECK(status IN ('queued','running','done','failed','cancelled')),
  created_us INTEGER NOT NULL,
  started_us INTEGER NOT NULL,
  finished_us INTEGER NOT NULL,
  request TEXT NOT NULL,
  error TEXT NOT NULL,
  report TEXT NOT NULL,
  html TEXT NOT NULL
) STRICT;
)sql";

constexpr std::array kMigrations = {kFirst, kPanels, kAdmin, kEvalRuns};

std::int64_t version_of(Db& db) {
  return db.integer("PRAGMA user_version");
}

void refuse_foreign(Db& db, std::int64_t mark) {
  const std::int64_t application = db.integer("PRAGMA application_id");
  const bool empty = db.integer("SELECT count(*) FROM sqlite_schema") == 0;
  if (application == mark || (application == 0 && empty)) return;
  throw std::runtime_error("database " + db.path() +
                           ": belongs to another program; name another file or move this one away");
}

void refuse_newer(Db& db, std::size_t known) {
  const std::int64_t version = version_of(db);
  if (version <= static_cast<std::int64_t>(known)) return;
  throw std::runtime_error("database " + db.path() + ": has schema version " +
                           std::to_string(version) + ", this build knows versions up to " +
                           std::to_string(known) + "; start the newer build, or name another file");
}

}  // namespace

std::span<const std::string_view> migrations() {
  return kMigrations;
}

void prepare_writer(Db& db, std::int64_t wal_bytes, std::int64_t mark) {
  refuse_foreign(db, mark);
  // These two take effect only in a file without tables. Larger pages: a row with its route fills a
  // tenth of one. Incremental: freed pages are given back step by step (store/keep.h).
  db.exec("PRAGMA page_size = 8192");
  db.exec("PRAGMA auto_vacuum = INCREMENTAL");
  db.exec("PRAGMA journal_mode = WAL");
  db.exec("PRAGMA synchronous = FULL");
  db.exec("PRAGMA foreign_keys = ON");
  // Deleted words are overwritten, not only unlinked. It has to be on while rows are inserted, too:
  // a page that is split otherwise keeps a stale copy, which no later delete would find.
  db.exec("PRAGMA secure_delete = ON");
  const std::int64_t page_bytes = db.integer("PRAGMA page_size");
  db.exec("PRAGMA wal_autocheckpoint = " + std::to_string(wal_bytes / page_bytes));
  db.exec("PRAGMA journal_size_limit = " + std::to_string(wal_bytes));
}

void migrate(Db& db, std::span<const std::string_view> steps, std::int64_t mark) {
  refuse_foreign(db, mark);
  refuse_newer(db, steps.size());
  for (std::int64_t version = version_of(db); version < std::ssize(steps); ++version) {
    Transaction transaction(db);
    db.exec(steps[static_cast<std::size_t>(version)]);
    db.exec("PRAGMA application_id = " + std::to_string(mark));
    db.exec("PRAGMA user_version = " + std::to_string(version + 1));
    transaction.commit();
  }
}

void check_readable(Db& db, std::span<const std::string_view> steps, std::int64_t mark) {
  refuse_foreign(db, mark);
  refuse_newer(db, steps.size());
  if (version_of(db) == std::ssize(steps)) return;
  throw std::runtime_error("database " + db.path() + ": has schema version " +
                           std::to_string(version_of(db)) + ", readers need version " +
                           std::to_string(steps.size()) +
                           "; start the service once, it brings the file up to date");
}

}  // namespace store
