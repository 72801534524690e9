// TUN and TAP devices (linux/if_tun.h): opening with offloads, and the header that stands in front of each packet.
#pragma once
#include <cstdint>
#include <string>

#include "netns.h"

namespace weft {

// linux/if_tun.h; build headers may be older than the kernel. USO4 and USO6 are accepted together only.
constexpr uint32_t kTunChecksum = 0x01, kTunTso4 = 0x02, kTunTso6 = 0x04, kTunUso4 = 0x20, kTunUso6 = 0x40,
                   kTunUdpTunnelGso = 0x80, kTunUdpTunnelGsoChecksum = 0x100;
constexpr uint32_t kTunOffloads = kTunChecksum | kTunTso4 | kTunTso6;
constexpr uint32_t kTunUso = kTunUso4 | kTunUso6;
constexpr uint32_t kTunTunnel = kTunUdpTunnelGso | kTunUdpTunnelGsoChecksum;

// linux/virtio_net.h struct virtio_net_hdr, then virtio_net_hdr_v1_hash_tunnel (since 6.17).
struct VnetHeader {
  uint8_t flags = 0;
  uint8_t gsoType = 0;
  uint16_t headerBytes = 0;
  uint16_t gsoSize = 0;
  uint16_t checksumStart = 0;
  uint16_t checksumOffset = 0;
  // Only in the header of 24 bytes:
  uint16_t buffers = 0;
  uint32_t hash = 0;
  uint16_t hashReport = 0;
  uint16_t padding = 0;
  uint16_t outerTransport = 0;
  uint16_t innerNetwork = 0;
};
static_assert(sizeof(VnetHeader) == 24, "as the kernel has it");
constexpr uint32_t kVnetHeaderBytes = 10;
constexpr uint32_t kVnetTunnelHeaderBytes = 24;
constexpr uint8_t kVnetNeedsChecksum = 1, kVnetDataValid = 2, kVnetTunnelChecksum = 8;

struct TunRequest {
  std::string name;
  std::string netns;
  bool tap = false;
  bool offloads = false;
  bool tunnelGso = false;
  bool persist = false;
};

struct TunDevice {
  int fd = -1;
  std::string name;
  uint32_t vnetHeaderBytes = 0;
  uint32_t offloads = 0;
};

/** Opens or re-attaches a device; the fd does not block and is closed on exec. Nothing is left open on an error. */
SystemError openTun(const TunRequest& request, TunDevice& device);

}  // namespace weft
