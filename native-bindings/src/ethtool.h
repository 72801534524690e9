// What a network device does by itself (linux/ethtool.h): whether a super-packet leaves it whole.
#pragma once
#include <string>

#include "netns.h"

namespace weft {

struct DeviceOffloads {
  bool tcpSegmentation = false;     // tx-tcp-segmentation
  bool tunnelSegmentation = false;  // tx-udp_tnl-segmentation, and the stack's own way there (tx-generic-segmentation)
};

/** Asks the device of this name in the calling thread's network namespace; needs no privilege. */
SystemError deviceOffloads(const std::string& device, DeviceOffloads& found);

}  // namespace weft
