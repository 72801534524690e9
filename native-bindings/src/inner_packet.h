// Where the headers of one IPv4 or IPv6 packet with TCP or UDP stand: the little that segmentation, coalescing and
// vnet headers need to know about a packet (RFC 791, 8200, 9293, 768).
#pragma once
#include <cstdint>

namespace weft {

constexpr uint8_t kTcp = 6;
constexpr uint8_t kUdp = 17;

struct InnerPacket {
  uint32_t l3 = 0;       // offsets from the packet's start: IP header,
  uint32_t l4 = 0;       // TCP or UDP header,
  uint32_t payload = 0;  // its payload,
  uint32_t end = 0;      // and the end that the IP header tells
  uint8_t protocol = 0;
  bool ipv6 = false;

  uint32_t checksumOffset() const { return protocol == kTcp ? 16 : 6; }
};

/**
 * Reads the packet at `packet`, whose IP header is at `l3`. `length` bounds what the headers may claim, `readable`
 * what may be read. False for anything but whole TCP or UDP directly over IP: fragments, extension headers, lengths
 * that do not add up.
 */
bool parseInner(const uint8_t* packet, uint32_t length, uint32_t readable, uint32_t l3, InnerPacket& inner);

/** Sum of the pseudo-header, unfolded, memory order, for an L4 length of `l4Bytes`. */
uint64_t pseudoSum(const uint8_t* packet, const InnerPacket& inner, uint32_t l4Bytes);

/** Computes the true checksum over [start, length) into the field at start + offset, which holds the pseudo sum. */
bool completeChecksum(uint8_t* packet, uint32_t length, uint32_t start, uint32_t offset);

/** Writes a checksum (uncomplemented sum given), with UDP's rule that a zero is sent as all ones (RFC 768). */
void storeChecksum(uint8_t* field, uint64_t sum, uint8_t protocol);

}  // namespace weft
