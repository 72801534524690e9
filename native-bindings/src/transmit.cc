// The engine's sending half: each packet goes to its port as cheaply as the port allows. A device with offloads takes
// a super-packet whole; a UDP socket takes its segments, many to a send; a TAP with tunnel GSO takes the super-packet
// with its outer headers and leaves segmentation to the kernel, as far down as it goes.
#include <errno.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "bytes.h"
#include "checksum.h"
#include "engine.h"
#include "merge.h"
#include "udp.h"

namespace weft {
namespace {

// writev(2) takes no more; the first piece is the vnet header.
constexpr uint32_t kMaxPieces = 1024;
constexpr uint32_t kEthernetBytes = 14;
constexpr uint16_t kEtherTypeIpv6 = 0x86dd;
constexpr uint32_t kIpv6Bytes = 40, kUdpBytes = 8;

// The outer UDP checksum of a frame over IPv6, where none may be left out (RFC 8200 section 8.1). Of a super-packet the
// pseudo-header's sum, from which the kernel makes each segment's.
void fillOuterChecksum(uint8_t* frame, uint32_t length, bool super) {
  uint8_t* const ip = frame + kEthernetBytes;
  uint8_t* const udp = ip + kIpv6Bytes;
  const uint32_t udpBytes = length - kEthernetBytes - kIpv6Bytes;
  const uint64_t pseudo = sumBytes(ip + 8, 32) + swap16(kUdp) + swap16(udpBytes);
  store16Raw(udp + 6, 0);
  if (super) store16Raw(udp + 6, foldSum(pseudo));
  else storeChecksum(udp + 6, pseudo + sumBytes(udp, udpBytes), kUdp);
}

}  // namespace

void Engine::transmit(uint32_t count) {
  const Descriptors& packets = memory_.descriptors;
  uint32_t sent = 0;
  for (uint32_t i = 0; i < count; i++) {
    const int32_t outPort = packets.at(kOutPort, i);
    if (outPort < 0) continue;
    Port* port = static_cast<uint32_t>(outPort) < kMaxPorts ? ports_[outPort].get() : nullptr;
    const int64_t offset = packets.at(kOffset, i);
    const int64_t length = packets.at(kLength, i);
    const int64_t l3 = packets.at(kL3Offset, i);
    if (port == nullptr || offset < 0 || length <= 0 || offset >= memory_.arenaBytes || l3 < 0 || l3 >= length) {
      stats_.add(kTxMalformed);
      continue;
    }
    // The bytes of a super-packet may lie strided, further apart than its length: describeSuper checks those.
    if (packets.at(kStride, i) == 0 && offset + length > memory_.arenaBytes) {
      stats_.add(kTxMalformed);
      continue;
    }
    if (packets.at(kStride, i) != 0 && packets.at(kGsoType, i) == kGsoNone) {
      stats_.add(kTxMalformed);
      continue;
    }
    sent++;
    switch (port->kind) {
      case PortKind::kTun: transmitToTun(*port, i, count); break;
      case PortKind::kUdp: transmitToUdp(*port, i); break;
      case PortKind::kTap: transmitToTap(*port, i); break;
    }
  }
  flushQueues();
  if (sent != 0) stats_.add(kTxPackets, sent);
}

void Engine::flushQueues() {
  for (Port* port : udpPorts_) port->queue->flush();
}

bool Engine::describeSuperAt(uint32_t i, SuperPacket& super) const {
  const Descriptors& packets = memory_.descriptors;
  const uint32_t offset = static_cast<uint32_t>(packets.at(kOffset, i));
  const int32_t gsoSize = packets.at(kGsoSize, i);
  const int32_t stride = packets.at(kStride, i);
  if (gsoSize < 0 || stride < 0) return false;
  return describeSuper(memory_.arena + offset, memory_.arenaBytes - offset,
                       static_cast<uint32_t>(packets.at(kLength, i)), packets.at(kGsoType, i),
                       static_cast<uint32_t>(gsoSize), static_cast<uint32_t>(stride),
                       static_cast<uint32_t>(packets.at(kHeaderBytes, i)),
                       static_cast<uint32_t>(packets.at(kL3Offset, i)), super);
}

// The super-packet's bytes as it would lie without strides; 0 when there are more pieces than a write takes.
uint32_t Engine::superPieces(const SuperPacket& super, iovec* pieces) const {
  uint8_t* packet = const_cast<uint8_t*>(super.packet);
  if (super.stride == 0) {
    pieces[0] = {packet, super.headerBytes + super.payloadBytes};
    return 1;
  }
  if (super.segments > kMaxPieces - 1) return 0;
  pieces[0] = {packet, super.headerBytes + super.payloadLength(0)};
  for (uint32_t k = 1; k < super.segments; k++) {
    pieces[k] = {const_cast<uint8_t*>(super.payload(k)), super.payloadLength(k)};
  }
  return super.segments;
}

bool Engine::write(Port& port, const iovec* pieces, uint32_t count) {
  stats_.add(kSyscallsWrite);
  const ssize_t written = count == 1 ? ::write(port.fd, pieces[0].iov_base, pieces[0].iov_len)
                                     : writev(port.fd, pieces, static_cast<int>(count));
  if (written >= 0) return true;
  stats_.add(errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM ? kTxDropped : kTxErrors);
  return false;
}

// Adds the payload of packets behind `i` that continue it; they leave with it. Returns the pieces used.
uint32_t Engine::mergeFollowing(uint32_t mergeBytes, MergedPacket& merged, uint32_t i, uint32_t end, iovec* pieces,
                                uint32_t used) {
  const Descriptors& packets = memory_.descriptors;
  const int32_t outPort = packets.at(kOutPort, i);
  for (uint32_t j = i + 1; j < std::min(end, i + kMergeReach); j++) {
    if (packets.at(kOutPort, j) != outPort) continue;
    const int64_t offset = packets.at(kOffset, j);
    const int64_t length = packets.at(kLength, j);
    const int64_t l3 = packets.at(kL3Offset, j);
    if (offset < 0 || length <= 0 || offset >= memory_.arenaBytes || l3 < 0 || l3 >= length) continue;
    SuperPacket next;
    const bool super = packets.at(kGsoType, j) != kGsoNone;
    const uint8_t* packet = memory_.arena + offset;
    if (super ? !describeSuperAt(j, next)
              : !parseInner(packet, static_cast<uint32_t>(length), memory_.arenaBytes - static_cast<uint32_t>(offset),
                            static_cast<uint32_t>(l3), next.inner)) {
      continue;
    }
    const Relation relation = merged.relate(packet, next.inner);
    if (relation == Relation::kOther) continue;
    if (relation == Relation::kStops || !super || merged.payloadBytes + next.payloadBytes > mergeBytes) break;
    if (next.gsoSize != merged.first.gsoSize) break;  // whoever cuts it again must not cut larger
    if (used + std::max(next.segments, 1u) > kMaxPieces - 1) break;
    const uint32_t count = superPieces(next, pieces + used);
    if (count == 0) break;
    iovec& first = pieces[used];
    first = {static_cast<uint8_t*>(first.iov_base) + next.headerBytes, first.iov_len - next.headerBytes};
    used += count;
    merged.append(next, j - i);
    packets.at(kOutPort, j) = -1;
  }
  return used;
}

void Engine::transmitToTun(Port& port, uint32_t i, uint32_t end) {
  const Descriptors& packets = memory_.descriptors;
  uint8_t* const packet = memory_.arena + packets.at(kOffset, i);
  const uint32_t length = static_cast<uint32_t>(packets.at(kLength, i));
  const bool partial = (packets.at(kFlags, i) & kChecksumPartial) != 0;
  VnetHeader header;
  iovec pieces[kMaxPieces];
  pieces[0] = {&header, port.vnetHeaderBytes};
  if (packets.at(kGsoType, i) == kGsoNone) {
    if (port.vnetHeaderBytes == 0) {
      if (partial && !completeChecksum(packet, length, static_cast<uint32_t>(packets.at(kChecksumStart, i)),
                                       static_cast<uint32_t>(packets.at(kChecksumOffset, i)))) {
        stats_.add(kTxMalformed);
        return;
      }
    } else if (partial) {
      header.flags = kVnetNeedsChecksum;
      header.checksumStart = static_cast<uint16_t>(packets.at(kChecksumStart, i));
      header.checksumOffset = static_cast<uint16_t>(packets.at(kChecksumOffset, i));
    } else if ((packets.at(kFlags, i) & kChecksumVerified) != 0) {
      header.flags = kVnetDataValid;
    }
    // In front of a packet there is headroom, or the encapsulation that it came in: room for the vnet header, so that
    // one buffer holds both.
    if (static_cast<uint32_t>(packet - memory_.arena) < port.vnetHeaderBytes) {
      stats_.add(kTxMalformed);
      return;
    }
    uint8_t* const start = packet - port.vnetHeaderBytes;
    memcpy(start, &header, port.vnetHeaderBytes);
    pieces[0] = {start, port.vnetHeaderBytes + length};
    write(port, pieces, 1);
    return;
  }
  SuperPacket super;
  if (!describeSuperAt(i, super)) {
    stats_.add(kTxMalformed);
    return;
  }
  const InnerPacket& inner = super.inner;
  uint32_t count = port.vnetHeaderBytes == 0 ? 0 : superPieces(super, pieces + 1);
  if (count == 0) {
    transmitSegmentsToTun(port, super);
    return;
  }
  MergedPacket merged(super);
  const uint32_t mergeBytes = inner.ipv6 ? port.mergeBytes6 : port.mergeBytes;
  if (super.payloadBytes < mergeBytes && merged.mergeable()) {
    count = mergeFollowing(mergeBytes, merged, i, end, pieces + 1, count);
  }
  if (merged.packets > 1) {
    merged.writeHeaders();
  } else if (!partial) {
    const uint32_t l4Bytes = inner.end - inner.l4;
    store16Raw(packet + inner.l4 + inner.checksumOffset(), foldSum(pseudoSum(packet, inner, l4Bytes)));
  }
  header.flags = kVnetNeedsChecksum;
  header.gsoType = static_cast<uint8_t>(packets.at(kGsoType, i));
  header.headerBytes = static_cast<uint16_t>(super.headerBytes);
  header.gsoSize = static_cast<uint16_t>(super.gsoSize);
  header.checksumStart = static_cast<uint16_t>(inner.l4);
  header.checksumOffset = static_cast<uint16_t>(inner.checksumOffset());
  uint8_t front[kVnetTunnelHeaderBytes + kIpv6Bytes + kJumboBytes];
  if (merged.isJumbo()) {
    header.headerBytes = static_cast<uint16_t>(super.headerBytes + kJumboBytes);
    header.checksumStart = static_cast<uint16_t>(inner.l4 + kJumboBytes);
    memcpy(front, &header, port.vnetHeaderBytes);
    merged.writeJumboHeader(front + port.vnetHeaderBytes);
    pieces[0] = {front, port.vnetHeaderBytes + kIpv6Bytes + kJumboBytes};
    pieces[1] = {packet + inner.l4, pieces[1].iov_len - inner.l4};
  }
  stats_.add(kSyscallsWrite);
  if (writev(port.fd, pieces, static_cast<int>(count + 1)) >= 0) {
    if (merged.packets > 1) {
      stats_.add(kMergedPackets, merged.packets);
      stats_.add(kTxPackets, merged.packets - 1);  // transmit() counts the first
    }
    return;
  }
  if (merged.packets > 1) {
    stats_.add(kMergeFallbacks);
    // The kernel takes 32 KB of memory in one piece for this, and may have none, where a packet of 64 KB needs none.
    uint32_t& limit = inner.ipv6 ? port.mergeBytes6 : port.mergeBytes;
    if ((errno == ENOMEM || errno == ENOBUFS || errno == EMSGSIZE) && limit > kMaxPacketBytes) {
      limit = std::max(limit / 2, kMaxPacketBytes);
    }
    const int32_t outPort = packets.at(kOutPort, i);
    for (uint32_t k = 1; k < kMergeReach; k++) {
      if ((merged.followers >> k & 1) != 0) packets.at(kOutPort, i + k) = outPort;
    }
    merged.dissolve();
    transmitToTun(port, i, i + 1);  // alone; the others have their turn
    return;
  }
  if (errno == EINVAL) {
    // A kernel without this kind of segmentation (USO before 6.2): its segments it will take.
    stats_.add(kGsoFallbacks);
    transmitSegmentsToTun(port, super);
    return;
  }
  stats_.add(errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM ? kTxDropped : kTxErrors);
}

void Engine::transmitSegmentsToTun(Port& port, const SuperPacket& super) {
  uint8_t headers[256];
  if (super.headerBytes > sizeof headers) {
    stats_.add(kTxMalformed);
    return;
  }
  VnetHeader header;
  for (uint32_t k = 0; k < super.segments; k++) {
    writeSegmentHeader(super, k, headers);
    const iovec pieces[3] = {{&header, port.vnetHeaderBytes},
                             {headers, super.headerBytes},
                             {const_cast<uint8_t*>(super.payload(k)), super.payloadLength(k)}};
    if (!write(port, pieces, 3)) break;  // the rest would only be a gap to retransmit
  }
  stats_.add(kSegmentedPackets);
  stats_.add(kSegments, super.segments);
}

void Engine::transmitToUdp(Port& port, uint32_t i) {
  const Descriptors& packets = memory_.descriptors;
  uint8_t* const packet = memory_.arena + packets.at(kOffset, i);
  const uint32_t length = static_cast<uint32_t>(packets.at(kLength, i));
  const int32_t words[4] = {packets.at(kPeer0, i), packets.at(kPeer1, i), packets.at(kPeer2, i), packets.at(kPeer3, i)};
  sockaddr_storage peer;
  const socklen_t peerBytes =
      peerAddress(words, static_cast<uint32_t>(packets.at(kPeerPort, i)), port.queue->family(), peer);
  if (peerBytes == 0) {
    stats_.add(kTxMalformed);
    return;
  }
  if (packets.at(kGsoType, i) == kGsoNone) {
    if ((packets.at(kFlags, i) & kChecksumPartial) != 0 &&
        !completeChecksum(packet, length, static_cast<uint32_t>(packets.at(kChecksumStart, i)),
                          static_cast<uint32_t>(packets.at(kChecksumOffset, i)))) {
      stats_.add(kTxMalformed);
      return;
    }
    const iovec piece{packet, length};
    port.queue->add(peer, peerBytes, &piece, 1);
    return;
  }
  SuperPacket super;
  if (!describeSuperAt(i, super)) {
    stats_.add(kTxMalformed);
    return;
  }
  for (uint32_t k = 0; k < super.segments; k++) {
    uint8_t* header = port.queue->scratch(super.headerBytes);
    if (header == nullptr) {
      stats_.add(kTxMalformed);
      return;
    }
    writeSegmentHeader(super, k, header);
    const uint32_t payloadBytes = super.payloadLength(k);
    const iovec pieces[2] = {{header, super.headerBytes}, {const_cast<uint8_t*>(super.payload(k)), payloadBytes}};
    port.queue->add(peer, peerBytes, pieces, payloadBytes == 0 ? 1 : 2);
  }
  stats_.add(kSegmentedPackets);
  stats_.add(kSegments, super.segments);
}

void Engine::transmitToTap(Port& port, uint32_t i) {
  const Descriptors& packets = memory_.descriptors;
  uint8_t* const packet = memory_.arena + packets.at(kOffset, i);
  const uint32_t length = static_cast<uint32_t>(packets.at(kLength, i));
  const bool partial = (packets.at(kFlags, i) & kChecksumPartial) != 0;
  // What a flow has sent through the socket before must be on its way first.
  flushQueues();
  const bool outerV6 = length > kEthernetBytes && load16(packet + 12) == kEtherTypeIpv6;
  if (outerV6 && length < kEthernetBytes + kIpv6Bytes + kUdpBytes) {
    stats_.add(kTxMalformed);
    return;
  }
  VnetHeader header;
  iovec pieces[kMaxPieces];
  pieces[0] = {&header, port.vnetHeaderBytes};
  if (packets.at(kGsoType, i) == kGsoNone) {
    // Completed here: a checksum left to the kernel would reach a peer's socket on the same machine unfinished.
    if (partial && !completeChecksum(packet, length, static_cast<uint32_t>(packets.at(kChecksumStart, i)),
                                     static_cast<uint32_t>(packets.at(kChecksumOffset, i)))) {
      stats_.add(kTxMalformed);
      return;
    }
    if (outerV6) fillOuterChecksum(packet, length, false);
    pieces[1] = {packet, length};
    write(port, pieces, 2);
    return;
  }
  SuperPacket super;
  if (!describeSuperAt(i, super) || super.inner.l3 < kEthernetBytes + (outerV6 ? kIpv6Bytes : 20) + kUdpBytes) {
    stats_.add(kTxMalformed);
    return;
  }
  const InnerPacket& inner = super.inner;
  const uint32_t outerIpBytes = outerV6 ? kIpv6Bytes : (packet[kEthernetBytes] & 15u) * 4;
  const uint32_t count = superPieces(super, pieces + 1);
  if (count == 0) {
    stats_.add(kTxMalformed);
    return;
  }
  if (!partial) {
    const uint32_t l4Bytes = inner.end - inner.l4;
    store16Raw(packet + inner.l4 + inner.checksumOffset(), foldSum(pseudoSum(packet, inner, l4Bytes)));
  }
  if (outerV6) fillOuterChecksum(packet, length, true);
  header.flags = outerV6 ? kVnetNeedsChecksum | kVnetTunnelChecksum : kVnetNeedsChecksum;
  header.gsoType = static_cast<uint8_t>(packets.at(kGsoType, i) | (outerV6 ? kGsoUdpTunnelV6 : kGsoUdpTunnelV4));
  header.headerBytes = static_cast<uint16_t>(super.headerBytes);
  header.gsoSize = static_cast<uint16_t>(super.gsoSize);
  header.checksumStart = static_cast<uint16_t>(inner.l4);
  header.checksumOffset = static_cast<uint16_t>(inner.checksumOffset());
  header.outerTransport = static_cast<uint16_t>(kEthernetBytes + outerIpBytes);
  header.innerNetwork = static_cast<uint16_t>(inner.l3);
  write(port, pieces, count + 1);
}

}  // namespace weft
