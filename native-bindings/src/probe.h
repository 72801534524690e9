// What this kernel and this processor can do, found by trying rather than by version.
#pragma once

namespace weft {

struct Capabilities {
  bool tunnelGso = false;
  bool bigTcp = false;
  bool bigTcp6 = false;
  bool udpSegment = false;
  bool udpGro = false;
  bool uso = false;
};

Capabilities probeCapabilities();

}  // namespace weft
