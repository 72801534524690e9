#include "probe.h"

#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <vector>

#include <thread>

#include "bytes.h"
#include "checksum.h"
#include "layout.h"
#include "tun.h"
#include "udp.h"

namespace weft {
namespace {

void probeDevices(Capabilities& found) {
  TunRequest request;
  request.name = "weftprobe%d";
  request.tap = true;
  request.offloads = true;
  TunDevice device;
  if (openTun(request, device)) return;
  found.uso = (device.offloads & kTunUso) == kTunUso;
  close(device.fd);
  request.tunnelGso = true;
  if (openTun(request, device)) return;
  found.tunnelGso = true;
  close(device.fd);
}

bool bringUp(const std::string& name) {
  const int socket = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (socket < 0) return false;
  ifreq interface {};
  memcpy(interface.ifr_name, name.data(), name.size());
  interface.ifr_flags = IFF_UP;
  const bool up = ioctl(socket, SIOCSIFFLAGS, &interface) == 0;
  close(socket);
  return up;
}

// From the second line of the namespace's IP statistics: packets received, and of those with a bad header.
bool ipStatistics(long& received, long& badHeaders) {
  FILE* file = fopen("/proc/thread-self/net/snmp", "r");
  if (file == nullptr) return false;
  char line[1024];
  const bool read = fgets(line, sizeof line, file) != nullptr && fgets(line, sizeof line, file) != nullptr &&
                    sscanf(line, "Ip: %*d %*d %ld %ld", &received, &badHeaders) == 2;
  fclose(file);
  return read;
}

// Whether IPv4 takes a TCP super-packet of more than 65,535 bytes, whose total length is 0: written to a device of this
// thread's own namespace, it is counted as received either way, and as bad where it is not understood.
bool probeBigTcp() {
  TunRequest request;
  request.name = "weftprobe%d";
  request.offloads = true;
  TunDevice device;
  if (openTun(request, device)) return false;
  constexpr uint32_t kPayload = 70'000, kSegment = 1400, kHeaders = 40;
  std::vector<uint8_t> packet(kVnetHeaderBytes + kHeaders + kPayload);
  VnetHeader header;
  header.flags = kVnetNeedsChecksum;
  header.gsoType = kGsoTcpV4;
  header.headerBytes = kHeaders;
  header.gsoSize = kSegment;
  header.checksumStart = 20;
  header.checksumOffset = 16;
  memcpy(packet.data(), &header, kVnetHeaderBytes);
  uint8_t* ip = packet.data() + kVnetHeaderBytes;
  ip[0] = 0x45;
  ip[8] = 64;
  ip[9] = 6;
  store32(ip + 12, 0xc0000202);  // 192.0.2.2 and .1, of TEST-NET-1 (RFC 5737)
  store32(ip + 16, 0xc0000201);
  store16Raw(ip + 10, static_cast<uint16_t>(~foldSum(sumBytes(ip, 20))));
  ip[32] = 5 << 4;
  ip[33] = 0x10;
  long receivedBefore, received, badBefore, bad;
  const bool taken = bringUp(device.name) && ipStatistics(receivedBefore, badBefore) &&
                     write(device.fd, packet.data(), packet.size()) == static_cast<ssize_t>(packet.size()) &&
                     ipStatistics(received, bad) && received > receivedBefore && bad == badBefore;
  close(device.fd);
  return taken;
}

}  // namespace

Capabilities probeCapabilities() {
  Capabilities found;
  found.udpSegment = socketTakesUdpOption(kUdpSegment, 1400);
  found.udpGro = socketTakesUdpOption(kUdpGro, 1);
  // The throw-away device appears in a throw-away namespace where that is allowed, so that nothing that watches the
  // host's links sees it.
  std::thread([&found] {
    const bool apart = unshare(CLONE_NEWNET) == 0;
    probeDevices(found);
    found.bigTcp = apart && probeBigTcp();
  }).join();
  return found;
}

}  // namespace weft
