// TCP sockets of other network namespaces: how the agent reaches a port on a pod's loopback without a process there.
#pragma once
#include <string>

#include "netns.h"

namespace weft {

/** One of either family (AF_INET, AF_INET6), not connected; it belongs to the namespace at `netns`, '': to ours. */
SystemError openTcp(int family, const std::string& netns, int& fd);

}  // namespace weft
