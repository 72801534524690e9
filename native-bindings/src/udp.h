// UDP sockets of the overlay: large buffers, segmentation on send (UDP_SEGMENT) and aggregation on receive (UDP_GRO).
#pragma once
#include <sys/socket.h>

#include <cstdint>
#include <string>
#include <vector>

#include "netns.h"

namespace weft {

// linux/udp.h; glibc's netinet/udp.h has them only since 2.28.
constexpr int kUdpSegment = 103, kUdpGro = 104;
// The kernel takes 128 segments a send since 6.8, 64 before; and no more bytes than one IPv4 packet holds.
constexpr uint32_t kMaxSendSegments = 64;
constexpr uint32_t kMaxSendBytes = 65507;

struct UdpRequest {
  std::string address;
  std::string netns;
  int port = 0;
  int receiveBufferBytes = 0;
  int sendBufferBytes = 0;
  bool gso = false;
  bool gro = false;
  uint32_t sockets = 1;          // more than one share the address, each for one worker
  uint32_t firstSocketsIp4 = 0;  // inner destination that always goes to the first of them, in host order; 0: none
  uint32_t firstSocketsIp6 = 0;  // the same, by the last 32 bits of an IPv6 one
};

struct UdpSocket {
  std::vector<int> fds;
  int port = 0;
  int receiveBufferBytes = 0;  // what the kernel granted; less than asked without CAP_NET_ADMIN
  bool gso = false;
  bool gro = false;
};

/**
 * Opens the sockets, all or none. Of several, each receives the VXLAN packets whose inner destination address, in its
 * last 16 bits, modulo their number is the socket's index.
 */
SystemError openUdp(const UdpRequest& request, UdpSocket& socket);

/** Whether a socket of this kernel takes the option at all. */
bool socketTakesUdpOption(int option, int value);

/** A socket address from four big-endian words, for a socket of that family; 0 when the address has no form in it. */
socklen_t peerAddress(const int32_t words[4], uint32_t port, int family, sockaddr_storage& address);

/** The other way; false for a family that is neither. */
bool peerWords(const sockaddr_storage& address, int32_t words[4], int32_t& port);

}  // namespace weft
