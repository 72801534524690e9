#include "merge.h"

#include <cstring>

#include "bytes.h"
#include "checksum.h"
#include "layout.h"

namespace weft {
namespace {

constexpr uint8_t kTcpPsh = 0x08, kTcpAck = 0x10;
constexpr uint16_t kDontFragment = 0x4000;
constexpr uint32_t kIpBytes = 20;

// Plain data: SYN, FIN, RST, URG, ECE and CWR are events of their own.
bool isData(const uint8_t* l4) { return (l4[13] & ~kTcpPsh) == kTcpAck; }

uint8_t* writable(const uint8_t* bytes) { return const_cast<uint8_t*>(bytes); }

}  // namespace

MergedPacket::MergedPacket(const SuperPacket& first)
    : first(first), payloadBytes(first.payloadBytes), ownFlags(first.packet[first.inner.l4 + 13]) {}

bool MergedPacket::mergeable() const {
  const InnerPacket& inner = first.inner;
  if (inner.ipv6 || inner.protocol != kTcp || inner.l4 - inner.l3 != kIpBytes) return false;
  // Whoever cuts it again numbers the segments on from the first: reassembly must not need their own numbers.
  if ((load16(first.packet + inner.l3 + 6) & kDontFragment) == 0) return false;
  return isData(first.packet + inner.l4);
}

Relation MergedPacket::relate(const uint8_t* packet, const InnerPacket& inner) const {
  const InnerPacket& a = first.inner;
  const uint8_t* ip = first.packet + a.l3;
  const uint8_t* ipNext = packet + inner.l3;
  if (inner.ipv6 || inner.protocol != kTcp || memcmp(ip + 12, ipNext + 12, 8) != 0) return Relation::kOther;
  const uint8_t* l4 = first.packet + a.l4;
  const uint8_t* l4Next = packet + inner.l4;
  if (memcmp(l4, l4Next, 4) != 0) return Relation::kOther;
  const uint32_t l4Bytes = a.payload - a.l4;
  if (inner.l4 - inner.l3 != kIpBytes || inner.payload - inner.l4 != l4Bytes) return Relation::kStops;  // other headers
  if (!isData(l4Next)) return Relation::kStops;  // an event of its own
  if (ip[1] != ipNext[1] || ip[8] != ipNext[8]) return Relation::kStops;  // other DSCP or ECN, or another path
  if (load16Raw(ip + 6) != load16Raw(ipNext + 6)) return Relation::kStops;  // other DF
  if (load32(l4Next + 4) != load32(l4 + 4) + payloadBytes) return Relation::kStops;  // a gap, or sent again
  if (memcmp(l4 + 8, l4Next + 8, 4) != 0) return Relation::kStops;  // another acknowledgement
  if (l4[12] != l4Next[12]) return Relation::kStops;  // other reserved bits: one of them is accurate ECN's
  if (load16Raw(l4 + 14) != load16Raw(l4Next + 14)) return Relation::kStops;  // another window
  if (memcmp(l4 + 20, l4Next + 20, l4Bytes - 20) != 0) return Relation::kStops;  // other options, such as timestamps
  return Relation::kContinues;
}

void MergedPacket::append(const SuperPacket& next, uint32_t places) {
  writable(first.packet)[first.inner.l4 + 13] |= next.packet[next.inner.l4 + 13] & kTcpPsh;
  payloadBytes += next.payloadBytes;
  packets++;
  followers |= uint64_t{1} << places;
}

void MergedPacket::dissolve() {
  writable(first.packet)[first.inner.l4 + 13] = ownFlags;
  payloadBytes = first.payloadBytes;
  packets = 1;
  followers = 0;
  writeHeaders();
}

void MergedPacket::writeHeaders() const {
  const InnerPacket& inner = first.inner;
  uint8_t* ip = writable(first.packet) + inner.l3;
  uint8_t* l4 = writable(first.packet) + inner.l4;
  const uint32_t l4Bytes = inner.payload - inner.l4 + payloadBytes;
  const uint32_t totalBytes = kIpBytes + l4Bytes;
  store16(ip + 2, totalBytes > kMaxPacketBytes ? 0 : totalBytes);
  store16Raw(ip + 10, 0);
  storeChecksum(ip + 10, sumBytes(ip, kIpBytes), kTcp);
  store16Raw(l4 + inner.checksumOffset(), foldSum(pseudoSum(first.packet, inner, l4Bytes)));
}

}  // namespace weft
