#include "inner_packet.h"

#include "bytes.h"
#include "checksum.h"

namespace weft {

bool parseInner(const uint8_t* packet, uint32_t length, uint32_t readable, uint32_t l3, InnerPacket& inner) {
  if (readable > length) readable = length;
  if (l3 >= readable || readable - l3 < 20) return false;
  const uint8_t* ip = packet + l3;
  const uint32_t version = ip[0] >> 4;
  uint32_t ipBytes, totalBytes;
  if (version == 4) {
    ipBytes = (ip[0] & 15u) * 4;
    totalBytes = load16(ip + 2);
    if (ipBytes < 20) return false;
    if ((load16(ip + 6) & 0x3fff) != 0) return false;  // a fragment has no L4 header to rely on
    inner.protocol = ip[9];
    inner.ipv6 = false;
  } else if (version == 6) {
    if (readable - l3 < 40) return false;
    ipBytes = 40;
    totalBytes = 40 + load16(ip + 4);
    inner.protocol = ip[6];
    inner.ipv6 = true;
  } else {
    return false;
  }
  if (totalBytes > length - l3) return false;
  inner.l3 = l3;
  inner.l4 = l3 + ipBytes;
  inner.end = l3 + totalBytes;
  uint32_t l4Bytes;
  if (inner.protocol == kTcp) {
    if (inner.l4 + 20 > inner.end || inner.l4 + 20 > readable) return false;
    l4Bytes = (packet[inner.l4 + 12] >> 4) * 4u;
    if (l4Bytes < 20) return false;
  } else if (inner.protocol == kUdp) {
    l4Bytes = 8;
  } else {
    return false;
  }
  inner.payload = inner.l4 + l4Bytes;
  return inner.payload <= inner.end && inner.payload <= readable;
}

uint64_t pseudoSum(const uint8_t* packet, const InnerPacket& inner, uint32_t l4Bytes) {
  const uint8_t* ip = packet + inner.l3;
  const uint64_t addresses = inner.ipv6 ? sumBytes(ip + 8, 32) : sumBytes(ip + 12, 8);
  return addresses + swap16(inner.protocol) + swap16(l4Bytes) + swap16(l4Bytes >> 16);
}

void storeChecksum(uint8_t* field, uint64_t sum, uint8_t protocol) {
  uint16_t value = static_cast<uint16_t>(~foldSum(sum));
  if (value == 0 && protocol == kUdp) value = 0xffff;
  store16Raw(field, value);
}

bool completeChecksum(uint8_t* packet, uint32_t length, uint32_t start, uint32_t offset) {
  if (start >= length || offset > length - start || length - start - offset < 2) return false;
  // The offset within the header tells UDP from TCP: 6 against 16.
  storeChecksum(packet + start + offset, sumBytes(packet + start, length - start), offset == 6 ? kUdp : kTcp);
  return true;
}

}  // namespace weft
