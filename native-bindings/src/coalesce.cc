#include "coalesce.h"

#include <algorithm>

#include "bytes.h"
#include "checksum.h"
#include "inner_packet.h"

namespace weft {
namespace {

constexpr uint8_t kTcpPsh = 0x08, kTcpAck = 0x10;
constexpr uint16_t kDontFragment = 0x4000;

struct Segment {
  uint8_t* bytes = nullptr;
  InnerPacket inner;
  uint32_t payloadBytes = 0;
  bool verified = false;

  uint8_t* ip() const { return bytes + inner.l3; }
  uint8_t* l4() const { return bytes + inner.l4; }
};

// Whether a datagram can take part in merging at all.
bool readSegment(uint8_t* bytes, uint32_t length, uint32_t encapBytes, Segment& segment) {
  if (!parseInner(bytes, length, length, encapBytes, segment.inner)) return false;  // not plain TCP or UDP
  const InnerPacket& inner = segment.inner;
  segment.bytes = bytes;
  segment.verified = false;
  if (inner.end != length) return false;  // padding behind the packet would become payload
  if (!inner.ipv6 && inner.l4 - inner.l3 != 20) return false;  // IP options are per packet
  segment.payloadBytes = inner.end - inner.payload;
  if (segment.payloadBytes == 0) return false;  // a pure ACK or empty datagram is an event of its own
  const uint8_t* l4 = segment.l4();
  if (inner.protocol == kTcp) return (l4[13] & ~kTcpPsh) == kTcpAck;  // SYN, FIN, RST, URG, ECE, CWR: events too
  if (load16Raw(l4 + 6) == 0) return false;  // no UDP checksum: nothing to verify by
  return load16(l4 + 4) == inner.end - inner.l4;  // UDP's own length disagrees
}

bool verify(Segment& segment, bool trustPartial) {
  if (segment.verified) return true;
  const InnerPacket& inner = segment.inner;
  if (!inner.ipv6 && foldSum(sumBytes(segment.ip(), 20)) != 0xffff) return false;
  const uint32_t l4Bytes = inner.end - inner.l4;
  const uint64_t pseudo = pseudoSum(segment.bytes, inner, l4Bytes);
  // A kernel of the same machine that cut a super-packet leaves the segments' checksums unfinished as well.
  segment.verified = (trustPartial && load16Raw(segment.l4() + inner.checksumOffset()) == foldSum(pseudo)) ||
                     foldSum(pseudo + sumBytes(segment.l4(), l4Bytes)) == 0xffff;
  return segment.verified;
}

// Whether `next` is segment number `index` of the super-packet that `first` begins.
bool continues(const Segment& first, const Segment& next, uint32_t index, uint32_t encapBytes) {
  const InnerPacket& a = first.inner;
  const InnerPacket& b = next.inner;
  if (a.protocol != b.protocol || a.ipv6 != b.ipv6 || a.payload != b.payload) return false;  // other header shapes
  if (next.payloadBytes > first.payloadBytes) return false;  // only the last may differ, and be shorter
  if (memcmp(first.bytes, next.bytes, encapBytes) != 0) return false;  // other network, VTEP or inner MAC
  const uint8_t* ip = first.ip();
  const uint8_t* ipNext = next.ip();
  if (a.ipv6) {
    if (memcmp(ip, ipNext, 4) != 0) return false;  // other traffic class or flow label
    if (memcmp(ip + 6, ipNext + 6, 34) != 0) return false;  // other hop limit or addresses
  } else {
    if (ip[1] != ipNext[1]) return false;  // other DSCP or ECN
    if (load16Raw(ip + 6) != load16Raw(ipNext + 6)) return false;  // other DF
    const bool consecutive = static_cast<uint16_t>(load16(ip + 4) + index) == load16(ipNext + 4);
    if (!consecutive && (load16(ip + 6) & kDontFragment) == 0) return false;  // reassembly needs its ids
    if (ip[8] != ipNext[8]) return false;  // other TTL, so another path
    if (memcmp(ip + 12, ipNext + 12, 8) != 0) return false;  // other addresses
  }
  const uint8_t* l4 = first.l4();
  const uint8_t* l4Next = next.l4();
  if (memcmp(l4, l4Next, 4) != 0) return false;  // other ports
  if (a.protocol == kUdp) return true;
  if (load32(l4Next + 4) != load32(l4 + 4) + index * first.payloadBytes) return false;  // a gap, or out of order
  if (memcmp(l4 + 8, l4Next + 8, 4) != 0) return false;  // another acknowledgement
  if (l4[12] != l4Next[12]) return false;  // other header length or reserved bits
  if (load16Raw(l4 + 14) != load16Raw(l4Next + 14)) return false;  // another window
  return memcmp(l4 + 20, l4Next + 20, a.payload - a.l4 - 20) == 0;  // other options, such as timestamps
}

void describe(const ReceivedRun& run, const Descriptors& out, uint32_t i, uint32_t at, uint32_t length) {
  out.at(kInPort, i) = run.port;
  out.at(kOutPort, i) = -1;
  out.at(kOffset, i) = static_cast<int32_t>(run.offset + at);
  out.at(kLength, i) = static_cast<int32_t>(length);
  out.at(kFlags, i) = 0;
  out.at(kGsoType, i) = kGsoNone;
  out.at(kGsoSize, i) = 0;
  out.at(kChecksumStart, i) = 0;
  out.at(kChecksumOffset, i) = 0;
  out.at(kStride, i) = 0;
  out.at(kHeaderBytes, i) = 0;
  out.at(kL3Offset, i) = static_cast<int32_t>(run.encapBytes);
  out.at(kPeer0, i) = run.peer[0];
  out.at(kPeer1, i) = run.peer[1];
  out.at(kPeer2, i) = run.peer[2];
  out.at(kPeer3, i) = run.peer[3];
  out.at(kPeerPort, i) = run.peerPort;
  out.at(kHash, i) = 0;
}

void markPartial(const Descriptors& out, uint32_t i, const InnerPacket& inner) {
  out.at(kFlags, i) = kChecksumPartial;
  out.at(kChecksumStart, i) = static_cast<int32_t>(inner.l4);
  out.at(kChecksumOffset, i) = static_cast<int32_t>(inner.checksumOffset());
}

// Rewrites the first segment's headers to stand for all of them.
void describeMerged(const ReceivedRun& run, const Descriptors& out, uint32_t i, uint32_t at, const Segment& first,
                    uint32_t payloadBytes, uint8_t flagsOfAll) {
  const InnerPacket& inner = first.inner;
  describe(run, out, i, at, inner.payload + payloadBytes);
  markPartial(out, i, inner);
  out.at(kGsoType, i) = inner.protocol == kUdp ? kGsoUdpL4 : inner.ipv6 ? kGsoTcpV6 : kGsoTcpV4;
  out.at(kGsoSize, i) = static_cast<int32_t>(first.payloadBytes);
  out.at(kStride, i) = static_cast<int32_t>(run.stride);
  out.at(kHeaderBytes, i) = static_cast<int32_t>(inner.payload);
  const uint32_t l4Bytes = inner.payload - inner.l4 + payloadBytes;
  uint8_t* ip = first.ip();
  uint8_t* l4 = first.l4();
  if (inner.ipv6) {
    store16(ip + 4, l4Bytes);
  } else {
    store16(ip + 2, 20 + l4Bytes);
    store16Raw(ip + 10, 0);
    storeChecksum(ip + 10, sumBytes(ip, 20), kTcp);
  }
  if (inner.protocol == kTcp) {
    l4[13] |= flagsOfAll;
  } else {
    store16(l4 + 4, l4Bytes);
  }
  store16Raw(l4 + inner.checksumOffset(), foldSum(pseudoSum(first.bytes, inner, l4Bytes)));
}

// A kernel's VXLAN device on the same machine hands over packets whose checksum nobody has computed, and super-packets
// whole, in one datagram without a GRO control message. Only where the operator says so: on a real wire one damaged
// packet in 65,536 would pass unverified.
void trustPartial(const ReceivedRun& run, const Descriptors& out, uint32_t i, uint8_t* bytes, uint32_t length,
                  const Stats& stats) {
  InnerPacket inner;
  if (!parseInner(bytes, length, length, run.encapBytes, inner)) return;
  const uint16_t field = load16Raw(bytes + inner.l4 + inner.checksumOffset());
  if (field != foldSum(pseudoSum(bytes, inner, inner.end - inner.l4))) return;
  markPartial(out, i, inner);
  stats.add(kPartialTrusted);
  const uint32_t headers = inner.payload - inner.l3;
  if (inner.protocol != kTcp || inner.end - inner.l3 <= run.mtu || run.mtu <= headers) return;
  out.at(kGsoType, i) = inner.ipv6 ? kGsoTcpV6 : kGsoTcpV4;
  out.at(kGsoSize, i) = static_cast<int32_t>(run.mtu - headers);
}

}  // namespace

uint32_t describeDatagrams(ReceivedRun& run, uint8_t* arena, const Descriptors& out, uint32_t count,
                           uint32_t limit, const Stats& stats) {
  uint8_t* const base = arena + run.offset;
  while (run.cursor < run.bytes && count < limit) {
    const uint32_t at = run.at;
    const uint32_t length = std::min(run.segmentBytes, run.bytes - run.cursor);
    run.cursor += length;
    run.at += run.stride;
    Segment first;
    if (run.cursor < run.bytes && readSegment(base + at, length, run.encapBytes, first)) {
      uint32_t segments = 1;
      uint32_t payloadBytes = first.payloadBytes;
      // A pushed segment ends its group: whoever pushed wants it seen.
      bool open = first.inner.protocol != kTcp || (first.l4()[13] & kTcpPsh) == 0;
      uint8_t flags = 0;
      while (open && run.cursor < run.bytes) {
        const uint32_t nextBytes = std::min(run.segmentBytes, run.bytes - run.cursor);
        Segment next;
        if (!readSegment(base + run.at, nextBytes, run.encapBytes, next)) break;
        if (!continues(first, next, segments, run.encapBytes)) break;
        if (first.inner.payload - first.inner.l3 + payloadBytes + next.payloadBytes > kMaxPacketBytes) break;
        if (!verify(first, run.trustPartial) || !verify(next, run.trustPartial)) {
          stats.add(kChecksumBad);  // left as it is, for its receiver to judge
          break;
        }
        segments++;
        payloadBytes += next.payloadBytes;
        run.cursor += nextBytes;
        run.at += run.stride;
        if (next.inner.protocol == kTcp) flags = next.l4()[13] & kTcpPsh;
        open = next.payloadBytes == first.payloadBytes && flags == 0;
      }
      if (segments > 1) {
        describeMerged(run, out, count++, at, first, payloadBytes, flags);
        stats.add(kCoalescedPackets);
        stats.add(kCoalescedSegments, segments);
        continue;
      }
    }
    describe(run, out, count, at, length);
    if (run.trustPartial) trustPartial(run, out, count, base + at, length, stats);
    count++;
  }
  return count;
}

}  // namespace weft
