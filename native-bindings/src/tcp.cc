#include "tcp.h"

#include <sys/socket.h>

namespace weft {

SystemError openTcp(int family, const std::string& netns, int& fd) {
  NetnsScope scope;
  if (SystemError error = scope.enter(netns)) return error;
  fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  return fd < 0 ? systemError("socket", "TCP") : SystemError{};
}

}  // namespace weft
