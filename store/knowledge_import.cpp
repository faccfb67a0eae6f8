#include "store/knowledge_import.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>
#include <stdexcept>

#include "store/json_row.h"

namespace store {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";

/// Documents on their way in.
class Importer {
 public:
  Importer(Knowledge& knowledge, std::string_view collection, const ImportHooks& hooks)
      : knowledge_(knowledge), collection_(collection), hooks_(hooks) {}

  void take(Document document, double share) {
    batch_bytes_ += document.text.size();
    counts_.bytes += std::ssize(document.text);
    share_ = share;
    batch_.push_back(std::move(document));
    const KnowledgeOptions& options = knowledge_.options();
    if (batch_.size() >= options.batch_documents || batch_bytes_ >= options.batch_bytes) flush();
  }

  void leave_out(const std::string& where, std::string_view why) {
    ++counts_.left_out;
    if (hooks_.left_out) hooks_.left_out(where + ": " + std::string(why));
  }

  ImportCounts finish() {
    flush();
    return counts_;
  }

  /// Rows of JSON Lines; `name` is that of the file.
  void take_rows(std::istream& in, const std::string& name, double share);
  /// The whole stream as one document.
  void take_text(std::istream& in, const std::string& name, Format format, double share);

 private:
  void flush() {
    if (batch_.empty()) return;
    const auto filed = knowledge_.file(collection_, batch_, counts_.passages);
    for (std::size_t i = 0; i < batch_.size(); ++i) {
      counts_.added += filed[i] == Filed::added ? 1 : 0;
      counts_.replaced += filed[i] == Filed::replaced ? 1 : 0;
      counts_.unchanged += filed[i] == Filed::unchanged ? 1 : 0;
      if (is_left_out(filed[i])) leave_out(batch_[i].source, name_of(filed[i]));
    }
    batch_.clear();
    batch_bytes_ = 0;
    if (hooks_.progress) hooks_.progress(counts_, share_);
  }

  Knowledge& knowledge_;
  std::string collection_;
  const ImportHooks& hooks_;
  std::vector<Document> batch_;
  std::size_t batch_bytes_ = 0;
  ImportCounts counts_;
  double share_ = 0;
  std::optional<JsonRows> rows_;
};

/// Reads up to and with the next newline, keeping at most `bytes_max` + 1 bytes of it without the
/// newline. False at the end.
bool read_line(std::streambuf& in, std::string& line, std::size_t bytes_max) {
  using Traits = std::streambuf::traits_type;
  line.clear();
  bool any = false;
  for (auto byte = in.sbumpc(); !Traits::eq_int_type(byte, Traits::eof()); byte = in.sbumpc()) {
    any = true;
    if (byte == '\n') return true;
    if (line.size() <= bytes_max) line.push_back(Traits::to_char_type(byte));
  }
  return any;
}

void Importer::take_rows(std::istream& in, const std::string& name, double share) {
  if (!rows_) rows_.emplace();
  const std::size_t bytes_max = knowledge_.options().document_bytes_max;
  std::string line;
  for (std::int64_t number = 1; read_line(*in.rdbuf(), line, bytes_max); ++number) {
    const std::string where = name + ":" + std::to_string(number);
    std::string_view row = line;
    if (number == 1 && row.starts_with(kByteOrderMark)) row.remove_prefix(kByteOrderMark.size());
    if (row.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    if (row.size() > bytes_max) {
      leave_out(where, name_of(Filed::too_large));
      continue;
    }
    Document document;
    const std::string why = rows_->read(row, document);
    if (!why.empty()) {
      leave_out(where, why);
      continue;
    }
    if (document.source.empty()) document.source = where;
    take(std::move(document), share);
  }
}

void Importer::take_text(std::istream& in, const std::string& name, Format format, double share) {
  const std::size_t bytes_max = knowledge_.options().document_bytes_max;
  Document document{.source = name, .format = format};
  constexpr std::size_t kStep = 64 << 10;
  while (in && document.text.size() <= bytes_max) {
    const std::size_t size = document.text.size();
    document.text.resize(size + kStep);
    in.read(document.text.data() + size, kStep);
    document.text.resize(size + static_cast<std::size_t>(in.gcount()));
  }
  if (in.bad()) return leave_out(name, "cannot be read to its end");
  if (document.text.starts_with(kByteOrderMark)) document.text.erase(0, kByteOrderMark.size());
  take(std::move(document), share);
}

Reading reading_of(const fs::path& path) {
  std::string ending = path.extension().string();
  std::transform(ending.begin(), ending.end(), ending.begin(),
                 [](unsigned char byte) { return static_cast<char>(std::tolower(byte)); });
  if (ending == ".md" || ending == ".markdown") return Reading::markdown;
  if (ending == ".jsonl" || ending == ".ndjson") return Reading::json_lines;
  return Reading::text;
}

void take_file(Importer& importer, const fs::path& path, Reading reading, double share) {
  errno = 0;
  std::ifstream in(path, std::ios::binary);
  if (!in) {
    importer.leave_out(path.string(),
                       errno == ENOENT ? "gone since it was listed" : std::strerror(errno));
    return;
  }
  if (reading == Reading::automatic) reading = reading_of(path);
  if (reading == Reading::json_lines) return importer.take_rows(in, path.string(), share);
  const Format format = reading == Reading::markdown ? Format::markdown : Format::text;
  importer.take_text(in, path.string(), format, share);
}

bool is_hidden(const fs::path& path) {
  return path.filename().string().starts_with('.');
}

std::vector<fs::path> list_files(const fs::path& folder, std::size_t files_max,
                                 Importer& importer) {
  std::vector<fs::path> files;
  std::error_code error;
  fs::recursive_directory_iterator at(folder, fs::directory_options::skip_permission_denied, error);
  for (; !error && at != fs::recursive_directory_iterator(); at.increment(error)) {
    std::error_code ignored;  // what vanishes here is not in the list
    if (is_hidden(at->path())) {
      if (at->is_directory(ignored)) at.disable_recursion_pending();
    } else if (at->is_regular_file(ignored)) {
      files.push_back(at->path());
    }
    if (files.size() > files_max) {
      throw std::runtime_error(folder.string() + ": more than " + std::to_string(files_max) +
                               " files; add its folders one by one");
    }
  }
  if (error) importer.leave_out(folder.string(), "not all of it could be listed");
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace

ImportCounts import_path(Knowledge& knowledge, std::string_view collection, const std::string& path,
                         Reading reading, const ImportHooks& hooks) {
  Importer importer(knowledge, collection, hooks);
  const fs::path whole = fs::absolute(path).lexically_normal();
  std::error_code error;
  const fs::file_status status = fs::status(whole, error);
  if (fs::is_directory(status)) {
    const auto files = list_files(whole, knowledge.options().files_max, importer);
    for (std::size_t i = 0; i < files.size(); ++i) {
      const double share = static_cast<double>(i + 1) / static_cast<double>(files.size());
      take_file(importer, files[i], reading, share);
    }
  } else if (fs::is_regular_file(status)) {
    take_file(importer, whole, reading, 1);
  } else {
    throw std::runtime_error(path + ": " +
                             (error ? error.message() : "neither a file nor a folder"));
  }
  return importer.finish();
}

ImportCounts import_stream(Knowledge& knowledge, std::string_view collection, std::istream& in,
                           std::string_view name, Reading reading, const ImportHooks& hooks) {
  Importer importer(knowledge, collection, hooks);
  if (reading == Reading::automatic) {
    in >> std::ws;
    reading = in.peek() == '{' ? Reading::json_lines : Reading::text;
    in.clear();
  }
  constexpr double kUnknownShare = -1;
  if (reading == Reading::json_lines) {
    importer.take_rows(in, std::string(name), kUnknownShare);
  } else {
    const Format format = reading == Reading::markdown ? Format::markdown : Format::text;
    importer.take_text(in, std::string(name), format, kUnknownShare);
  }
  return importer.finish();
}

}  // namespace store
