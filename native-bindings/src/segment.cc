#include "segment.h"

#include "bytes.h"
#include "checksum.h"
#include "layout.h"

namespace weft {
namespace {

constexpr uint8_t kTcpFin = 0x01, kTcpPsh = 0x08, kTcpCwr = 0x80;

}  // namespace

bool describeSuper(const uint8_t* packet, uint64_t available, uint32_t length, int32_t gsoType, uint32_t gsoSize,
                   uint32_t stride, uint32_t headerBytes, uint32_t l3, SuperPacket& super) {
  const uint32_t readable = static_cast<uint32_t>(available < length ? available : length);
  if (gsoSize == 0 || !parseInner(packet, length, readable, l3, super.inner)) return false;
  const bool tcp = gsoType == (super.inner.ipv6 ? kGsoTcpV6 : kGsoTcpV4) && super.inner.protocol == kTcp;
  const bool udp = gsoType == kGsoUdpL4 && super.inner.protocol == kUdp;
  if (!tcp && !udp) return false;
  super.packet = packet;
  super.gsoSize = gsoSize;
  super.stride = stride;
  super.headerBytes = super.inner.payload;
  // Bytes after the IP packet's own end are no payload.
  super.payloadBytes = super.inner.end - super.inner.payload;
  super.segments = super.payloadBytes == 0 ? 1 : (super.payloadBytes + gsoSize - 1) / gsoSize;
  if (super.headerBytes - l3 + gsoSize > kMaxPacketBytes) return false;
  if (stride == 0) return super.headerBytes + uint64_t{super.payloadBytes} <= available;
  if (headerBytes != super.headerBytes || stride < gsoSize) return false;
  const uint64_t last = uint64_t{super.segments - 1} * stride + headerBytes;
  return last + super.payloadLength(super.segments - 1) <= available;
}

void writeSegmentHeader(const SuperPacket& super, uint32_t k, uint8_t* header) {
  const InnerPacket& inner = super.inner;
  const uint32_t payloadBytes = super.payloadLength(k);
  const uint32_t l4Bytes = super.headerBytes - inner.l4 + payloadBytes;
  memcpy(header, super.packet, super.headerBytes);
  uint8_t* ip = header + inner.l3;
  uint8_t* l4 = header + inner.l4;
  if (inner.ipv6) {
    store16(ip + 4, l4Bytes);
  } else {
    store16(ip + 2, inner.l4 - inner.l3 + l4Bytes);
    store16(ip + 4, load16(ip + 4) + k);
    store16Raw(ip + 10, 0);
    storeChecksum(ip + 10, sumBytes(ip, inner.l4 - inner.l3), kTcp);
  }
  if (inner.protocol == kTcp) {
    store32(l4 + 4, load32(l4 + 4) + k * super.gsoSize);
    if (k + 1 < super.segments) l4[13] &= static_cast<uint8_t>(~(kTcpFin | kTcpPsh));
    if (k != 0) l4[13] &= static_cast<uint8_t>(~kTcpCwr);
  } else {
    store16(l4 + 4, l4Bytes);
  }
  uint8_t* field = l4 + inner.checksumOffset();
  store16Raw(field, 0);
  const uint64_t sum = pseudoSum(header, inner, l4Bytes) + sumBytes(l4, super.headerBytes - inner.l4) +
                       sumBytes(super.payload(k), payloadBytes);
  storeChecksum(field, sum, inner.protocol);
}

}  // namespace weft
