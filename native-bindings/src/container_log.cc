#include "container_log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

namespace weft {

ContainerLog::ContainerLog(const char* path, off_t bytes, int files) : path_(path), bytes_(bytes), files_(files) {
  open();
}

void ContainerLog::open() {
  file_ = ::open(path_, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  struct stat now;
  size_ = file_ >= 0 && fstat(file_, &now) == 0 ? now.st_size : 0;
}

void ContainerLog::add(const char* stream, const char* text, size_t length) {
  char head[64];
  timespec now;
  tm parts;
  clock_gettime(CLOCK_REALTIME, &now);
  gmtime_r(&now.tv_sec, &parts);
  const size_t date = strftime(head, sizeof head, "%Y-%m-%dT%H:%M:%S", &parts);
  const size_t headLength =
      date + static_cast<size_t>(snprintf(head + date, sizeof head - date, ".%09ldZ %s ", now.tv_nsec, stream));
  while (length > 0) {
    const char* end = static_cast<const char*>(memchr(text, '\n', length));
    const size_t line = end == nullptr ? length : static_cast<size_t>(end - text);
    if (fill_ + headLength + line + 3 > sizeof buffer_) flush();
    put(head, headLength);
    put(end == nullptr ? "P " : "F ", 2);
    put(text, line);
    put("\n", 1);
    const size_t used = line + (end == nullptr ? 0 : 1);
    text += used;
    length -= used;
    if (size_ + static_cast<off_t>(fill_) >= bytes_) rotate();
  }
  flush();
}

LogPosition ContainerLog::position() const {
  struct stat now;
  if (file_ < 0 || fstat(file_, &now) != 0) return {};
  return {now.st_ino, static_cast<uint64_t>(now.st_size)};
}

void ContainerLog::put(const char* bytes, size_t length) {
  memcpy(buffer_ + fill_, bytes, length);
  fill_ += length;
}

/// Whole records. What a full disk does not take is lost, for a command must never wait for its log; a record that was
/// cut short ends before the next one begins.
void ContainerLog::flush() {
  size_t at = 0;
  if (isTorn_ && file_ >= 0) isTorn_ = write(file_, "\n", 1) != 1;
  while (!isTorn_ && file_ >= 0 && at < fill_) {
    const ssize_t written = write(file_, buffer_ + at, fill_ - at);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) break;
    at += static_cast<size_t>(written);
  }
  if (at > 0 && at < fill_) isTorn_ = true;
  size_ += static_cast<off_t>(fill_);
  fill_ = 0;
}

void ContainerLog::rotate() {
  flush();
  char from[PATH_MAX];
  char to[PATH_MAX];
  for (int i = files_ - 1; i > 0; i--) {
    if (i == 1) snprintf(from, sizeof from, "%s", path_);
    else snprintf(from, sizeof from, "%s.%d", path_, i - 1);
    snprintf(to, sizeof to, "%s.%d", path_, i);
    rename(from, to);
  }
  if (files_ == 1) unlink(path_);
  if (file_ >= 0) close(file_);
  isTorn_ = false;
  open();
  // One that cannot be renamed stays within its bound all the same.
  if (size_ >= bytes_ && ftruncate(file_, 0) == 0) size_ = 0;
}

}  // namespace weft
