// Turns what one UDP receive brought, possibly many datagrams in one buffer (UDP_GRO), into descriptors: in-order
// segments of one flow become one strided super-packet, everything else stays a packet of its own. Checksums of
// segments are verified before they are merged, because merging writes a new one: corruption must not be laundered.
#pragma once
#include <cstdint>

#include "layout.h"
#include "stats.h"

namespace weft {

/** One filled receive buffer, and how far it has been turned into descriptors. */
struct ReceivedBuffer {
  uint32_t offset = 0;   // in the arena
  uint32_t bytes = 0;
  uint32_t segmentBytes = 0;  // of each datagram but the last; the whole when it came alone
  uint32_t cursor = 0;
  int32_t port = 0;
  uint32_t encapBytes = 0;
  uint32_t mtu = 0;
  bool trustPartial = false;
  int32_t peer[4] = {};
  int32_t peerPort = 0;
};

/** Writes descriptors from `count` on, at most up to `limit`; returns the new count. The buffer's cursor moves on. */
uint32_t describeDatagrams(ReceivedBuffer& buffer, uint8_t* arena, const Descriptors& out, uint32_t count,
                           uint32_t limit, const Stats& stats);

}  // namespace weft
