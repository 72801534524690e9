#include "probe.h"

#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <vector>

#include <thread>

#include "bytes.h"
#include "checksum.h"
#include "inner_packet.h"
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

// Packets that this namespace's IP has received, and those of them that it did not understand.
struct Understanding {
  long received = 0;
  long bad = 0;
};

bool readIpv4(Understanding& found) {
  FILE* file = fopen("/proc/thread-self/net/snmp", "r");
  if (file == nullptr) return false;
  char line[1024];
  // The second line.
  const bool read = fgets(line, sizeof line, file) != nullptr && fgets(line, sizeof line, file) != nullptr &&
                    sscanf(line, "Ip: %*d %*d %ld %ld", &found.received, &found.bad) == 2;
  fclose(file);
  return read;
}

bool readIpv6(Understanding& found) {
  FILE* file = fopen("/proc/thread-self/net/snmp6", "r");
  if (file == nullptr) return false;
  char line[256], name[64];
  long value;
  bool read = false;
  while (fgets(line, sizeof line, file) != nullptr) {
    if (sscanf(line, "%63s %ld", name, &value) != 2) continue;
    if (strcmp(name, "Ip6InReceives") == 0) {
      found.received = value;
      read = true;
    }
    for (const char* bad : {"Ip6InHdrErrors", "Ip6InTooBigErrors", "Ip6InTruncatedPkts", "Ip6InDiscards"}) {
      if (strcmp(name, bad) == 0) found.bad += value;
    }
  }
  fclose(file);
  return read;
}

constexpr uint32_t kBigPayload = 70'000, kBigSegment = 1400;

// IPv4 with a total length of 0.
std::vector<uint8_t> bigIpv4(VnetHeader& header) {
  std::vector<uint8_t> packet(40 + kBigPayload);
  header.gsoType = kGsoTcpV4;
  header.checksumStart = 20;
  uint8_t* ip = packet.data();
  ip[0] = 0x45;
  ip[8] = 64;
  ip[9] = kTcp;
  store32(ip + 12, 0xc0000202);  // 192.0.2.2 and .1, of TEST-NET-1 (RFC 5737)
  store32(ip + 16, 0xc0000201);
  store16Raw(ip + 10, static_cast<uint16_t>(~foldSum(sumBytes(ip, 20))));
  return packet;
}

// IPv6 with a payload length of 0 and the true one in a jumbo payload option.
std::vector<uint8_t> bigIpv6(VnetHeader& header) {
  std::vector<uint8_t> packet(68 + kBigPayload);
  header.gsoType = kGsoTcpV6;
  header.checksumStart = 48;
  uint8_t* ip = packet.data();
  ip[0] = 0x60;
  ip[7] = 64;
  for (const uint32_t at : {8u, 24u}) {
    store32(ip + at, 0x20010db8);  // 2001:db8::/32 (RFC 3849)
    ip[at + 15] = static_cast<uint8_t>(at);
  }
  ip[40] = kTcp;
  ip[42] = 0xc2;
  ip[43] = 4;
  store32(ip + 44, static_cast<uint32_t>(packet.size() - 40));
  return packet;
}

// Whether IP takes a TCP super-packet of more than 65,535 bytes: written to a device of this thread's own namespace, it
// is counted as received either way, and as bad where it is not understood.
bool probeBigTcp(std::vector<uint8_t> (*make)(VnetHeader&), bool (*count)(Understanding&)) {
  TunRequest request;
  request.name = "weftprobe%d";
  request.offloads = true;
  TunDevice device;
  if (openTun(request, device)) return false;
  VnetHeader header;
  std::vector<uint8_t> packet = make(header);
  uint8_t* tcp = packet.data() + header.checksumStart;
  tcp[12] = 5 << 4;
  tcp[13] = 0x10;
  header.flags = kVnetNeedsChecksum;
  header.headerBytes = header.checksumStart + 20;
  header.gsoSize = kBigSegment;
  header.checksumOffset = 16;
  iovec pieces[2] = {{&header, kVnetHeaderBytes}, {packet.data(), packet.size()}};
  Understanding before, after;
  const bool taken = bringUp(device.name) && count(before) && writev(device.fd, pieces, 2) > 0 && count(after) &&
                     after.received > before.received && after.bad == before.bad;
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
    found.bigTcp = apart && probeBigTcp(bigIpv4, readIpv4);
    found.bigTcp6 = apart && probeBigTcp(bigIpv6, readIpv6);
  }).join();
  return found;
}

}  // namespace weft
