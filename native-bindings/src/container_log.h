// A container's log: lines with their times in a file that makes room for itself. The format is CRI's
// (kubernetes.io, design "CRI: logging"): time, stream, F for a whole line or P for a part of one, the text.
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

namespace weft {

struct LogPosition {
  /// Of the file; 0: the oldest there is.
  uint64_t inode = 0;
  uint64_t offset = 0;
};

/// FILE, FILE.1, FILE.2 … from new to old; none grows far beyond its bound.
class ContainerLog {
 public:
  ContainerLog(const char* path, off_t bytes, int files);
  ContainerLog(const ContainerLog&) = delete;
  ContainerLog& operator=(const ContainerLog&) = delete;

  bool isOpen() const { return file_ >= 0; }

  /// Up to 16 KiB of one stream as they were read; what comes without a line's end is marked as a part of one.
  void add(const char* stream, const char* text, size_t length);

  /// Where the next record will stand.
  LogPosition position() const;

 private:
  void open();
  void put(const char* bytes, size_t length);
  void flush();
  void rotate();

  const char* path_;
  const off_t bytes_;
  const int files_;
  int file_ = -1;
  /// As if the disk took everything: a full one is relieved by rotation.
  off_t size_ = 0;
  bool isTorn_ = false;
  size_t fill_ = 0;
  char buffer_[32768];
};

}  // namespace weft
