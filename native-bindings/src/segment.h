// Cuts a super-packet into the packets its sender meant: each with its own copy of the headers, lengths, sequence
// number and true checksum. On the way out of the packet flow, for UDP ports and devices without offload. The
// payload is not copied: a segment is a header in the caller's scratch and a span of the super-packet.
#pragma once
#include <cstdint>

#include "inner_packet.h"

namespace weft {

struct SuperPacket {
  const uint8_t* packet = nullptr;  // prefix, IP header, L4 header, payload
  uint32_t gsoSize = 0;
  uint32_t stride = 0;      // 0: the payload is contiguous
  uint32_t headerBytes = 0;  // all headers, from the packet's start
  uint32_t payloadBytes = 0;
  uint32_t segments = 0;
  InnerPacket inner;

  const uint8_t* payload(uint32_t segment) const {
    return stride == 0 ? packet + headerBytes + segment * gsoSize : packet + segment * stride + headerBytes;
  }
  uint32_t payloadLength(uint32_t segment) const {
    return segment + 1 < segments ? gsoSize : payloadBytes - segment * gsoSize;
  }
};

/**
 * Describes the super-packet of `length` bytes at `packet`, of which `available` bytes may be read (to the arena's
 * end). False when its headers, GSO type and lengths do not agree.
 */
bool describeSuper(const uint8_t* packet, uint64_t available, uint32_t length, int32_t gsoType, uint32_t gsoSize,
                   uint32_t stride, uint32_t headerBytes, uint32_t l3, SuperPacket& super);

/** Writes segment `k`'s headers (super.headerBytes of them) to `header`, checksums true over its payload. */
void writeSegmentHeader(const SuperPacket& super, uint32_t k, uint8_t* header);

}  // namespace weft
