// Turns what UDP receives brought, datagrams at equal distances, into descriptors: in-order segments of one flow become
// one strided super-packet, everything else stays a packet of its own. Checksums of segments are verified before they
// are merged, because merging writes a new one: corruption must not be laundered.
#pragma once
#include <cstdint>

#include "layout.h"
#include "stats.h"

namespace weft {

/**
 * Datagrams of one peer, all of one size but the last, and how far they have been turned into descriptors: those of
 * one aggregate (UDP_GRO) stand densely, those received one by one in slots.
 */
struct ReceivedRun {
  uint32_t offset = 0;  // in the arena
  uint32_t bytes = 0;   // of all of them
  uint32_t segmentBytes = 0;  // of each datagram but the last; the whole when it came alone
  uint32_t stride = 0;  // from one datagram's start to the next one's
  uint32_t cursor = 0;  // bytes of datagrams that are described
  uint32_t at = 0;      // from `offset` to the next one's start
  int32_t port = 0;
  uint32_t encapBytes = 0;
  uint32_t mtu = 0;
  bool trustPartial = false;
  int32_t peer[4] = {};
  int32_t peerPort = 0;
};

/** Writes descriptors from `count` on, at most up to `limit`; returns the new count. The run's cursor moves on. */
uint32_t describeDatagrams(ReceivedRun& run, uint8_t* arena, const Descriptors& out, uint32_t count,
                           uint32_t limit, const Stats& stats);

}  // namespace weft
