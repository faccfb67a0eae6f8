// A file mapped read-only for as long as the object lives.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>

namespace moe {

/// Move-only. The pages are shared with the page cache, so that two models of one file cost one.
/// A file that another process truncates while it is mapped raises SIGBUS on access, as any
/// mapping.
class MappedFile {
 public:
  /// Throws std::runtime_error naming the path when it cannot be opened, is not a regular file, or
  /// cannot be mapped. An empty file maps to an empty span.
  explicit MappedFile(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;

  std::span<const std::byte> bytes() const { return {data_, size_}; }

  int descriptor() const { return descriptor_; }

  /// Reads [offset, offset + size) into the page cache and enters its pages into the page table, so
  /// that the first use does not fault page by page. Blocks while the disk works; does nothing
  /// where the kernel cannot (before Linux 5.14).
  void populate(std::size_t offset, std::size_t size) const noexcept;

 private:
  void close() noexcept;

  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
  int descriptor_ = -1;
};

}  // namespace moe
