#include "netns.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

namespace weft {

SystemError systemError(const char* syscall, const std::string& subject) { return {errno, syscall, subject}; }

SystemError NetnsScope::enter(const std::string& path) {
  if (path.empty()) return {};
  const int home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
  if (home < 0) return systemError("open", "/proc/thread-self/ns/net");
  const int target = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (target < 0) {
    SystemError error = systemError("open", path);
    close(home);
    return error;
  }
  SystemError error;
  if (setns(target, CLONE_NEWNET) != 0) {
    error = systemError("setns", path);
    close(home);
  } else {
    home_ = home;
  }
  close(target);
  return error;
}

NetnsScope::~NetnsScope() {
  if (home_ < 0) return;
  // A thread that cannot go home would do everything after this in the wrong network: worse than ending.
  if (setns(home_, CLONE_NEWNET) != 0) abort();
  close(home_);
}

}  // namespace weft
