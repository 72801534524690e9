// One Ethernet frame on a device, as it is: what the kernel will not say for us (an ARP announcement of an address that
// is not the host's own).
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>

#include "netns.h"

namespace weft {

/** Sends `length` bytes, from the destination's MAC on, in the calling thread's network namespace. CAP_NET_RAW. */
SystemError sendFrame(const std::string& device, const uint8_t* bytes, size_t length);

}  // namespace weft
