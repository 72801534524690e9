// Runs a piece of work in another network namespace: the calling thread goes there and comes back.
#pragma once
#include <string>

namespace weft {

/** A system call that failed: which one, on what, with which errno. */
struct SystemError {
  int number = 0;
  std::string syscall;
  std::string subject;

  explicit operator bool() const { return number != 0; }
};

SystemError systemError(const char* syscall, const std::string& subject);

class NetnsScope {
 public:
  NetnsScope() = default;
  ~NetnsScope();
  NetnsScope(const NetnsScope&) = delete;
  NetnsScope& operator=(const NetnsScope&) = delete;

  /** Enters the namespace at `path` (/run/netns/NAME, /proc/PID/ns/net); an empty path stays where it is. */
  SystemError enter(const std::string& path);

 private:
  int home_ = -1;
};

}  // namespace weft
