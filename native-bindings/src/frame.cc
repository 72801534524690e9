#include "frame.h"

#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>

namespace weft {

SystemError sendFrame(const std::string& device, const uint8_t* bytes, size_t length) {
  if (device.empty() || device.size() >= IFNAMSIZ || length < ETH_HLEN) {
    errno = EINVAL;
    return systemError("sendto", device);
  }
  const unsigned index = if_nametoindex(device.c_str());
  if (index == 0) return systemError("if_nametoindex", device);
  // Protocol 0: the socket receives nothing.
  const int socket = ::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
  if (socket < 0) return systemError("socket", device);
  sockaddr_ll to{};
  to.sll_family = AF_PACKET;
  to.sll_ifindex = static_cast<int>(index);
  to.sll_halen = ETH_ALEN;
  memcpy(to.sll_addr, bytes, ETH_ALEN);
  SystemError error;
  if (sendto(socket, bytes, length, MSG_DONTWAIT, reinterpret_cast<sockaddr*>(&to), sizeof to) < 0) {
    error = systemError("sendto", device);
  }
  close(socket);
  return error;
}

}  // namespace weft
