// The layout of a packet vector's descriptors as this addon was compiled for it. JavaScript's own table
// (src/io/vector.ts) is the truth; the engine's constructor compares the two and refuses to run on a difference.
#pragma once
#include <cstdint>

namespace weft {

enum Field : uint32_t {
  kInPort, kOutPort, kOffset, kLength, kFlags, kGsoType, kGsoSize, kChecksumStart, kChecksumOffset, kStride,
  kHeaderBytes, kL3Offset, kPeer0, kPeer1, kPeer2, kPeer3, kPeerPort, kHash, kFieldCount
};

constexpr const char* kFieldNames[kFieldCount] = {
    "inPort", "outPort", "offset", "length", "flags", "gsoType", "gsoSize", "checksumStart", "checksumOffset",
    "stride", "headerBytes", "l3Offset", "peer0", "peer1", "peer2", "peer3", "peerPort", "hash"};

enum PacketFlag : int32_t { kChecksumPartial = 1, kChecksumVerified = 2 };

// linux/virtio_net.h VIRTIO_NET_HDR_GSO_*; the last two are newer than many build headers.
enum GsoType : int32_t {
  kGsoNone = 0, kGsoTcpV4 = 1, kGsoTcpV6 = 4, kGsoUdpL4 = 5,
  kGsoUdpTunnelV4 = 0x20, kGsoUdpTunnelV6 = 0x40, kGsoEcn = 0x80
};

/** Field f of packet i stands at word f * packets + i. */
struct Descriptors {
  int32_t* words = nullptr;
  uint32_t packets = 0;

  int32_t& at(Field field, uint32_t packet) const { return words[field * packets + packet]; }
};

// Largest IP packet, and so the largest read from a TUN device.
constexpr uint32_t kMaxPacketBytes = 65535;
// A receive slot holds the largest packet or UDP payload there can be, rounded up.
constexpr uint32_t kSlotBytes = 65536;
constexpr uint32_t kMaxPorts = 4096;

}  // namespace weft
