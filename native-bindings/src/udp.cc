#include "udp.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <unistd.h>

#include <cstring>

namespace weft {
namespace {

// The forced variants pass rmem_max and wmem_max, given CAP_NET_ADMIN.
int setBuffer(int fd, int forced, int plain, int bytes) {
  if (bytes > 0 && setsockopt(fd, SOL_SOCKET, forced, &bytes, sizeof bytes) != 0) {
    setsockopt(fd, SOL_SOCKET, plain, &bytes, sizeof bytes);
  }
  int granted = 0;
  socklen_t length = sizeof granted;
  getsockopt(fd, SOL_SOCKET, plain, &granted, &length);
  return granted / 2;  // socket(7): the kernel doubles what it is given, for its bookkeeping
}

SystemError bindTo(int fd, int family, const UdpRequest& request, UdpSocket& socket) {
  sockaddr_storage address{};
  socklen_t length;
  if (family == AF_INET) {
    auto* v4 = reinterpret_cast<sockaddr_in*>(&address);
    v4->sin_family = AF_INET;
    v4->sin_port = htons(static_cast<uint16_t>(request.port));
    inet_pton(AF_INET, request.address.c_str(), &v4->sin_addr);
    length = sizeof *v4;
  } else {
    auto* v6 = reinterpret_cast<sockaddr_in6*>(&address);
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(static_cast<uint16_t>(request.port));
    inet_pton(AF_INET6, request.address.c_str(), &v6->sin6_addr);
    length = sizeof *v6;
    const int off = 0;
    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
  }
  const std::string subject = request.address + " port " + std::to_string(request.port);
  if (bind(fd, reinterpret_cast<sockaddr*>(&address), length) != 0) return systemError("bind", subject);
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length) != 0) return systemError("getsockname", subject);
  int32_t words[4];
  peerWords(address, words, socket.port);
  return {};
}

SystemError openOne(const UdpRequest& request, int family, uint32_t index, UdpSocket& result) {
  const int fd = socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return systemError("socket", "UDP");
  result.fds.push_back(fd);
  // Outer packets may be fragmented on the way, as the kernel's VXLAN allows; nobody's ICMP shrinks what we send.
  const int dontDiscover = IP_PMTUDISC_DONT;
  setsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, &dontDiscover, sizeof dontDiscover);
  if (family == AF_INET6) setsockopt(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, &dontDiscover, sizeof dontDiscover);
  result.receiveBufferBytes = setBuffer(fd, SO_RCVBUFFORCE, SO_RCVBUF, request.receiveBufferBytes);
  setBuffer(fd, SO_SNDBUFFORCE, SO_SNDBUF, request.sendBufferBytes);
  const int off = 0, on = 1;
  result.gso = request.gso && setsockopt(fd, IPPROTO_UDP, kUdpSegment, &off, sizeof off) == 0;
  result.gro = request.gro && setsockopt(fd, IPPROTO_UDP, kUdpGro, &on, sizeof on) == 0;
  // The first is bound without sharing, so that a port that somebody else has is still an error; only then it shares.
  const auto share = [&] { return setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) == 0; };
  if (index > 0 && !share()) return systemError("setsockopt(SO_REUSEPORT)", request.address);
  if (SystemError error = bindTo(fd, family, request, result)) return error;
  if (index == 0 && request.sockets > 1 && !share()) return systemError("setsockopt(SO_REUSEPORT)", request.address);
  return {};
}

// Classic BPF needs no privilege. The packet begins at the UDP payload, and a load beyond its end returns 0. What it
// decides is only a hint that saves the workers from handing packets over to each other.
SystemError steer(int fd, const UdpRequest& request) {
  constexpr uint32_t kInnerType = 8 + 12, kInner = 8 + 14, kDestination4 = kInner + 16, kDestination6 = kInner + 24;
  sock_filter program[] = {
      BPF_STMT(BPF_LD | BPF_H | BPF_ABS, kInnerType),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0x0800, 1, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0x86dd, 2, 4),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, kDestination4),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, request.firstSocketsIp4, 2, 3),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, kDestination6 + 12),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, request.firstSocketsIp6, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, 0),
      BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0xffff),
      BPF_STMT(BPF_ALU | BPF_MOD | BPF_K, request.sockets),
      BPF_STMT(BPF_RET | BPF_A, 0),
  };
  const sock_fprog filter{sizeof program / sizeof program[0], program};
  if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &filter, sizeof filter) == 0) return {};
  return systemError("setsockopt(SO_ATTACH_REUSEPORT_CBPF)", request.address);
}

}  // namespace

SystemError openUdp(const UdpRequest& request, UdpSocket& result) {
  in6_addr parsed;
  int family;
  if (inet_pton(AF_INET, request.address.c_str(), &parsed) == 1) {
    family = AF_INET;
  } else if (inet_pton(AF_INET6, request.address.c_str(), &parsed) == 1) {
    family = AF_INET6;
  } else {
    errno = EINVAL;
    return systemError("inet_pton", request.address);
  }
  NetnsScope scope;
  if (SystemError error = scope.enter(request.netns)) return error;
  UdpRequest next = request;
  SystemError error;
  for (uint32_t i = 0; i < request.sockets && !error; i++) {
    error = openOne(next, family, i, result);
    next.port = result.port;
  }
  // The first socket's program is the group's.
  if (!error && request.sockets > 1) error = steer(result.fds[0], request);
  if (error) {
    for (const int fd : result.fds) close(fd);
    result.fds.clear();
  }
  return error;
}

bool socketTakesUdpOption(int option, int value) {
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return false;
  const bool taken = setsockopt(fd, IPPROTO_UDP, option, &value, sizeof value) == 0;
  close(fd);
  return taken;
}

socklen_t peerAddress(const int32_t words[4], uint32_t port, int family, sockaddr_storage& address) {
  if (family == AF_INET) {
    if (words[0] != 0 || words[1] != 0 || words[2] != 0xffff) return 0;
    auto* v4 = reinterpret_cast<sockaddr_in*>(&address);
    *v4 = {};
    v4->sin_family = AF_INET;
    v4->sin_port = htons(static_cast<uint16_t>(port));
    v4->sin_addr.s_addr = htonl(static_cast<uint32_t>(words[3]));
    return sizeof *v4;
  }
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&address);
  *v6 = {};
  v6->sin6_family = AF_INET6;
  v6->sin6_port = htons(static_cast<uint16_t>(port));
  for (int i = 0; i < 4; i++) {
    const uint32_t word = htonl(static_cast<uint32_t>(words[i]));
    memcpy(v6->sin6_addr.s6_addr + 4 * i, &word, 4);
  }
  return sizeof *v6;
}

bool peerWords(const sockaddr_storage& address, int32_t words[4], int32_t& port) {
  if (address.ss_family == AF_INET) {
    const auto* v4 = reinterpret_cast<const sockaddr_in*>(&address);
    words[0] = words[1] = 0;
    words[2] = 0xffff;
    words[3] = static_cast<int32_t>(ntohl(v4->sin_addr.s_addr));
    port = ntohs(v4->sin_port);
    return true;
  }
  if (address.ss_family != AF_INET6) return false;
  const auto* v6 = reinterpret_cast<const sockaddr_in6*>(&address);
  for (int i = 0; i < 4; i++) {
    uint32_t word;
    memcpy(&word, v6->sin6_addr.s6_addr + 4 * i, 4);
    words[i] = static_cast<int32_t>(ntohl(word));
  }
  port = ntohs(v6->sin6_port);
  return true;
}

}  // namespace weft
