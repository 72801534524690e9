#include "probe.h"

#include <sched.h>
#include <unistd.h>

#include <thread>

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

}  // namespace

Capabilities probeCapabilities() {
  Capabilities found;
  found.udpSegment = socketTakesUdpOption(kUdpSegment, 1400);
  found.udpGro = socketTakesUdpOption(kUdpGro, 1);
  // The throw-away device appears in a throw-away namespace where that is allowed, so that nothing that watches the
  // host's links sees it.
  std::thread([&found] {
    (void)unshare(CLONE_NEWNET);
    probeDevices(found);
  }).join();
  return found;
}

}  // namespace weft
