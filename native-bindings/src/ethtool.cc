#include "ethtool.h"

#include <errno.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <vector>

namespace weft {
namespace {

bool ask(int socket, const std::string& device, void* question) {
  ifreq request{};
  memcpy(request.ifr_name, device.data(), device.size());
  request.ifr_data = static_cast<char*>(question);
  return ioctl(socket, SIOCETHTOOL, &request) == 0;
}

// Names of all features in the order of their bits.
bool featureNames(int socket, const std::string& device, std::vector<std::string>& names) {
  alignas(ethtool_sset_info) uint8_t question[sizeof(ethtool_sset_info) + sizeof(uint32_t)] = {};
  auto* count = reinterpret_cast<ethtool_sset_info*>(question);
  count->cmd = ETHTOOL_GSSET_INFO;
  count->sset_mask = 1ull << ETH_SS_FEATURES;
  if (!ask(socket, device, question)) return false;
  uint32_t length;
  memcpy(&length, question + sizeof(ethtool_sset_info), sizeof length);
  std::vector<uint8_t> memory(sizeof(ethtool_gstrings) + length * ETH_GSTRING_LEN);
  auto* strings = reinterpret_cast<ethtool_gstrings*>(memory.data());
  strings->cmd = ETHTOOL_GSTRINGS;
  strings->string_set = ETH_SS_FEATURES;
  strings->len = length;
  if (!ask(socket, device, strings)) return false;
  for (uint32_t i = 0; i < strings->len && i < length; i++) {
    const char* name = reinterpret_cast<const char*>(strings->data) + i * ETH_GSTRING_LEN;
    names.emplace_back(name, strnlen(name, ETH_GSTRING_LEN));
  }
  return true;
}

}  // namespace

SystemError deviceOffloads(const std::string& device, DeviceOffloads& found) {
  if (device.size() >= IFNAMSIZ) {
    errno = ENAMETOOLONG;
    return systemError("ioctl(SIOCETHTOOL)", device);
  }
  const int socket = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (socket < 0) return systemError("socket", device);
  SystemError error;
  std::vector<std::string> names;
  std::vector<uint8_t> memory;
  ethtool_gfeatures* features = nullptr;
  if (featureNames(socket, device, names)) {
    const uint32_t blocks = static_cast<uint32_t>((names.size() + 31) / 32);
    memory.resize(sizeof(ethtool_gfeatures) + blocks * sizeof(ethtool_get_features_block));
    features = reinterpret_cast<ethtool_gfeatures*>(memory.data());
    features->cmd = ETHTOOL_GFEATURES;
    features->size = blocks;
  }
  if (features == nullptr || !ask(socket, device, features)) error = systemError("ioctl(SIOCETHTOOL)", device);
  close(socket);
  if (error) return error;
  const auto active = [&](const char* name) {
    for (uint32_t i = 0; i < names.size() && i / 32 < features->size; i++) {
      if (names[i] == name) return (features->features[i / 32].active >> (i % 32) & 1) != 0;
    }
    return false;
  };
  found.tcpSegmentation = active("tx-tcp-segmentation");
  found.tunnelSegmentation = active("tx-udp_tnl-segmentation") && active("tx-generic-segmentation");
  return {};
}

}  // namespace weft
