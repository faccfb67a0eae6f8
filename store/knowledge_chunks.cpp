#include "store/knowledge_chunks.h"

#include <algorithm>
#include <array>
#include <stdexcept>

#include "store/utf8.h"

namespace store {
namespace {

constexpr std::string_view kBlank = " \t\r\n\f\v";
constexpr std::size_t kHeadingLevels = 6;

bool is_blank(std::string_view text) {
  return text.find_first_not_of(kBlank) == std::string_view::npos;
}

std::string_view trim(std::string_view text) {
  const std::size_t first = text.find_first_not_of(kBlank);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlank) - first + 1);
}

/// A stretch that is kept whole if it fits: a paragraph, a fenced block, a heading. Blocks tile the
/// text; blank lines belong to the block before them.
struct Block {
  std::size_t end = 0;
  std::size_t heading_level = 0;  // 1 to 6: the block begins a section; 0: it does not
  std::string_view heading{};
};

/// `# Title ##` (CommonMark 4.2). Level 0: no heading.
Block read_atx_heading(std::string_view line) {
  const std::size_t indent = line.find_first_not_of(' ');
  if (indent == std::string_view::npos || indent > 3) return {};
  line.remove_prefix(indent);
  const std::size_t level = std::min(line.find_first_not_of('#'), line.size());
  if (level == 0 || level > kHeadingLevels) return {};
  if (level < line.size() && kBlank.find(line[level]) == std::string_view::npos) return {};
  std::string_view title = trim(line.substr(level));
  const std::size_t last = title.find_last_not_of('#');
  if (last == std::string_view::npos) {
    title = {};
  } else if (last + 1 < title.size() && kBlank.find(title[last]) != std::string_view::npos) {
    title = trim(title.substr(0, last));
  }
  return {.heading_level = level, .heading = title};
}

/// The line under a heading (CommonMark 4.3). At least two, where CommonMark takes one: real texts
/// hold stray dashes. 0: none.
std::size_t underline_level(std::string_view line) {
  const std::string_view mark = trim(line);
  if (mark.size() < 2 || (mark[0] != '=' && mark[0] != '-')) return 0;
  if (mark.find_first_not_of(mark[0]) != std::string_view::npos) return 0;
  return mark[0] == '=' ? 1 : 2;
}

bool is_fence(std::string_view line) {
  line = trim(line);
  return line.starts_with("```") || line.starts_with("~~~");
}

class BlockReader {
 public:
  BlockReader(std::string_view text, Format format) : text_(text), format_(format) {}

  std::vector<Block> read() {
    for (std::size_t at = 0; at < text_.size();) {
      const std::size_t newline = text_.find('\n', at);
      const std::size_t next = newline == std::string_view::npos ? text_.size() : newline + 1;
      take(text_.substr(at, next - at), at, next);
      at = next;
    }
    close(text_.size());
    return std::move(blocks_);
  }

 private:
  void take(std::string_view line, std::size_t at, std::size_t next) {
    if (format_ == Format::markdown && is_fence(line)) {
      fenced_ = !fenced_;
    } else if (is_blank(line)) {
      after_blank_ = !fenced_;
      return;
    } else if (format_ == Format::markdown && !fenced_ && take_heading(line, at, next)) {
      return;
    }
    if (after_blank_) close(at);
    if (lines_ == 0) first_line_ = line;
    ++lines_;
  }

  bool take_heading(std::string_view line, std::size_t at, std::size_t next) {
    const Block heading = read_atx_heading(line);
    if (heading.heading_level > 0) {
      close(at);
      open_.heading_level = heading.heading_level;
      open_.heading = heading.heading;
      close(next);
      return true;
    }
    const std::size_t level = lines_ == 1 && !after_blank_ ? underline_level(line) : 0;
    if (level == 0) return false;
    open_.heading_level = level;
    open_.heading = trim(first_line_);
    close(next);
    return true;
  }

  /// Ends the open block at `end`, if there is anything in it.
  void close(std::size_t end) {
    const std::size_t start = blocks_.empty() ? 0 : blocks_.back().end;
    if (end > start) {
      open_.end = end;
      blocks_.push_back(open_);
    }
    open_ = {};
    lines_ = 0;
    after_blank_ = false;
  }

  std::string_view text_;
  Format format_;
  std::vector<Block> blocks_;
  Block open_;
  std::string_view first_line_;
  std::size_t lines_ = 0;
  bool after_blank_ = false;
  bool fenced_ = false;
};

/// The headings that are open, outermost first.
class HeadingPath {
 public:
  void enter(std::size_t level, std::string_view heading) {
    levels_[level - 1] = heading;
    std::fill(levels_.begin() + static_cast<std::ptrdiff_t>(level), levels_.end(),
              std::string_view{});
  }

  std::string text(std::size_t bytes_max) const {
    std::string path;
    for (const std::string_view level : levels_) {
      if (level.empty() || path.size() > bytes_max) continue;
      path.append(path.empty() ? "" : " > ").append(level);
    }
    if (path.size() > bytes_max) path.resize(code_point_at(path, bytes_max));
    return path;
  }

 private:
  std::array<std::string_view, kHeadingLevels> levels_;
};

/// Where to end inside of (after, limit]: behind a line, a sentence, a word, in this order, if
/// there is one in the last third; else behind the last whole code point.
std::size_t split_place(std::string_view text, std::size_t after, std::size_t limit) {
  const std::size_t earliest = std::max(after + 1, limit - (limit - after) / 3);
  std::size_t sentence = 0;
  std::size_t word = 0;
  for (std::size_t place = limit; place >= earliest; --place) {
    const char last = text[place - 1];
    if (last == '\n') return place;
    if (kBlank.find(last) == std::string_view::npos) continue;
    if (word == 0) word = place;
    if (sentence == 0 && place >= 2 &&
        std::string_view(".!?").find(text[place - 2]) != std::string_view::npos) {
      sentence = place;
    }
  }
  if (sentence != 0) return sentence;
  if (word != 0) return word;
  return code_point_at(text, limit);
}

/// Where the repetition of the chunk before may begin: the first word's start in [from, to); `to`
/// when there is none.
std::size_t overlap_start(std::string_view text, std::size_t from, std::size_t to) {
  if (from == 0) return 0;
  for (std::size_t place = from; place < to; ++place) {
    if (kBlank.find(text[place - 1]) != std::string_view::npos &&
        kBlank.find(text[place]) == std::string_view::npos) {
      return place;
    }
  }
  return to;
}

class Cutter {
 public:
  Cutter(std::string_view text, Format format, const ChunkRules& rules)
      : text_(text), rules_(rules), blocks_(BlockReader(text, format).read()) {}

  std::vector<Chunk> cut() {
    std::vector<Chunk> chunks;
    std::size_t at = 0;
    bool section_begins = true;
    while (at < text_.size()) {
      Chunk chunk{.start = at, .fresh = at};
      if (!section_begins) {
        const std::size_t overlap = std::min(rules_.overlap_bytes, at - chunks.back().start);
        chunk.start = overlap_start(text_, at - overlap, at);
      }
      enter_sections(at);
      chunk.heading = path_.text(rules_.heading_bytes_max);
      at = end_of(chunk.start, at);
      chunk.size = at - chunk.start;
      chunks.push_back(std::move(chunk));
      section_begins = block_ < blocks_.size() && blocks_[block_].heading_level > 0 &&
                       (block_ == 0 ? 0 : blocks_[block_ - 1].end) == at;
    }
    return chunks;
  }

 private:
  /// Follows the headings up to the block that holds `at`; those that the chunk before took in too.
  void enter_sections(std::size_t at) {
    for (; entered_ < blocks_.size(); ++entered_) {
      const std::size_t start = entered_ == 0 ? 0 : blocks_[entered_ - 1].end;
      if (start > at) break;
      if (blocks_[entered_].heading_level > 0)
        path_.enter(blocks_[entered_].heading_level, blocks_[entered_].heading);
    }
  }

  /// The end of the chunk that begins at `start` and has new bytes from `at` on. Leaves block_ at
  /// the first block that reaches behind it.
  std::size_t end_of(std::size_t start, std::size_t at) {
    const std::size_t limit = std::min(start + rules_.bytes_max, text_.size());
    const std::size_t enough = at + rules_.bytes_max / 4;
    std::size_t end = at;
    while (block_ < blocks_.size() && blocks_[block_].end <= limit) {
      if (blocks_[block_].heading_level > 0 && end >= enough) break;
      end = blocks_[block_].end;
      ++block_;
    }
    // Half a block is better than a chunk that is nearly empty.
    const bool section_ahead = block_ < blocks_.size() && blocks_[block_].heading_level > 0;
    if (end > at && (end >= enough || section_ahead || end == text_.size())) return end;
    return split_place(text_, at, limit);
  }

  std::string_view text_;
  const ChunkRules& rules_;
  std::vector<Block> blocks_;
  std::size_t block_ = 0;
  std::size_t entered_ = 0;
  HeadingPath path_;
};

}  // namespace

std::vector<Chunk> cut(std::string_view text, Format format, const ChunkRules& rules) {
  if (rules.bytes_max < 64 || rules.overlap_bytes > rules.bytes_max / 2) {
    throw std::runtime_error(
        "knowledge: passages need at least 64 bytes, and an overlap of at most half of that");
  }
  if (is_blank(text)) return {};
  return Cutter(text, format, rules).cut();
}

}  // namespace store
