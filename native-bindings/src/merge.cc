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
constexpr uint32_t kIpv6Bytes = 40;
constexpr uint8_t kHopByHop = 0, kJumboPayload = 0xc2;

bool isPlain(const InnerPacket& inner) {
  return inner.protocol == kTcp && inner.l4 - inner.l3 == (inner.ipv6 ? kIpv6Bytes : kIpBytes);
}

// What of the IP headers must be the same: all but lengths and what numbers packets.
bool sameIp(const uint8_t* a, const uint8_t* b, bool ipv6) {
  // Traffic class and flow label, and the hop limit: other marks, or another path.
  if (ipv6) return memcmp(a, b, 4) == 0 && a[7] == b[7];
  return a[1] == b[1] && a[8] == b[8] && load16Raw(a + 6) == load16Raw(b + 6);  // DSCP and ECN, TTL, DF
}

// Plain data: SYN, FIN, RST, URG, ECE and CWR are events of their own.
bool isData(const uint8_t* l4) { return (l4[13] & ~kTcpPsh) == kTcpAck; }

uint8_t* writable(const uint8_t* bytes) { return const_cast<uint8_t*>(bytes); }

}  // namespace

MergedPacket::MergedPacket(const SuperPacket& first)
    : first(first), payloadBytes(first.payloadBytes), ownFlags(first.packet[first.inner.l4 + 13]) {}

bool MergedPacket::mergeable() const {
  const InnerPacket& inner = first.inner;
  if (!isPlain(inner)) return false;
  // Whoever cuts it again numbers the segments on from the first: reassembly must not need their own numbers.
  if (!inner.ipv6 && (load16(first.packet + inner.l3 + 6) & kDontFragment) == 0) return false;
  return isData(first.packet + inner.l4);
}

Relation MergedPacket::relate(const uint8_t* packet, const InnerPacket& inner) const {
  const InnerPacket& a = first.inner;
  const uint8_t* ip = first.packet + a.l3;
  const uint8_t* ipNext = packet + inner.l3;
  if (inner.ipv6 != a.ipv6 || inner.protocol != kTcp) return Relation::kOther;
  if (a.ipv6 ? memcmp(ip + 8, ipNext + 8, 32) != 0 : memcmp(ip + 12, ipNext + 12, 8) != 0) return Relation::kOther;
  const uint8_t* l4 = first.packet + a.l4;
  const uint8_t* l4Next = packet + inner.l4;
  if (memcmp(l4, l4Next, 4) != 0) return Relation::kOther;
  const uint32_t l4Bytes = a.payload - a.l4;
  if (!isPlain(inner) || inner.payload - inner.l4 != l4Bytes) return Relation::kStops;  // other headers
  if (!isData(l4Next)) return Relation::kStops;  // an event of its own
  if (!sameIp(ip, ipNext, a.ipv6)) return Relation::kStops;
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

uint32_t MergedPacket::l4BytesOfAll() const { return first.inner.payload - first.inner.l4 + payloadBytes; }

bool MergedPacket::isJumbo() const { return first.inner.ipv6 && l4BytesOfAll() > kMaxPacketBytes; }

void MergedPacket::writeJumboHeader(uint8_t* front) const {
  memcpy(front, first.packet + first.inner.l3, kIpv6Bytes);
  front[6] = kHopByHop;
  uint8_t* option = front + kIpv6Bytes;
  option[0] = kTcp;
  option[1] = 0;  // units of 8 bytes beyond the first
  option[2] = kJumboPayload;
  option[3] = 4;
  store32(option + 4, kJumboBytes + l4BytesOfAll());
}

void MergedPacket::writeHeaders() const {
  const InnerPacket& inner = first.inner;
  uint8_t* ip = writable(first.packet) + inner.l3;
  uint8_t* l4 = writable(first.packet) + inner.l4;
  const uint32_t l4Bytes = l4BytesOfAll();
  if (inner.ipv6) {
    store16(ip + 4, isJumbo() ? 0 : l4Bytes);
  } else {
    const uint32_t totalBytes = kIpBytes + l4Bytes;
    store16(ip + 2, totalBytes > kMaxPacketBytes ? 0 : totalBytes);
    store16Raw(ip + 10, 0);
    storeChecksum(ip + 10, sumBytes(ip, kIpBytes), kTcp);
  }
  store16Raw(l4 + inner.checksumOffset(), foldSum(pseudoSum(first.packet, inner, l4Bytes)));
}

}  // namespace weft
