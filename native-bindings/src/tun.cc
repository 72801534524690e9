#include "tun.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cstring>

namespace weft {
namespace {

bool setOffloads(int fd, uint32_t offloads) {
  return ioctl(fd, TUNSETOFFLOAD, static_cast<unsigned long>(offloads)) == 0;
}

SystemError configure(const TunRequest& request, TunDevice& device) {
  const int fd = device.fd;
  if (!request.offloads) {
    // A device that persisted may still have the offloads of whoever had it before.
    setOffloads(fd, 0);
  } else {
    int headerBytes = request.tunnelGso ? kVnetTunnelHeaderBytes : kVnetHeaderBytes;
    if (ioctl(fd, TUNSETVNETHDRSZ, &headerBytes) != 0) return systemError("ioctl(TUNSETVNETHDRSZ)", device.name);
    device.vnetHeaderBytes = static_cast<uint32_t>(headerBytes);
    if (request.tunnelGso) {
      device.offloads = kTunOffloads | kTunUso | kTunTunnel;
      if (!setOffloads(fd, device.offloads)) return systemError("ioctl(TUNSETOFFLOAD)", device.name);
    } else {
      device.offloads = kTunOffloads | kTunUso;
      if (!setOffloads(fd, device.offloads)) {
        device.offloads = kTunOffloads;  // before 6.2 there is no UDP segmentation
        if (!setOffloads(fd, device.offloads)) return systemError("ioctl(TUNSETOFFLOAD)", device.name);
      }
    }
  }
  if (ioctl(fd, TUNSETPERSIST, request.persist ? 1UL : 0UL) != 0) {
    return systemError("ioctl(TUNSETPERSIST)", device.name);
  }
  return {};
}

}  // namespace

SystemError openTun(const TunRequest& request, TunDevice& device) {
  if (request.name.size() >= IFNAMSIZ) {
    errno = ENAMETOOLONG;
    return systemError("ioctl(TUNSETIFF)", request.name);
  }
  NetnsScope scope;
  if (SystemError error = scope.enter(request.netns)) return error;
  // The device belongs to the namespace its file was opened in, so the open comes after the move.
  const int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) return systemError("open", "/dev/net/tun");
  ifreq interface {};
  memcpy(interface.ifr_name, request.name.data(), request.name.size());
  interface.ifr_flags = static_cast<short>((request.tap ? IFF_TAP : IFF_TUN) | IFF_NO_PI |
                                           (request.offloads ? IFF_VNET_HDR : 0));
  SystemError error;
  if (ioctl(fd, TUNSETIFF, &interface) != 0) {
    error = systemError("ioctl(TUNSETIFF)", request.name);
  } else {
    device.fd = fd;
    device.name = interface.ifr_name;
    error = configure(request, device);
  }
  if (error) {
    close(fd);
    device.fd = -1;
  }
  return error;
}

}  // namespace weft
