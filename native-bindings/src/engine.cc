#include "engine.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>

namespace weft {
namespace {

constexpr uint32_t kSlotRegionBytes = 640 * 1024;
constexpr uint32_t kSmallDatagramBytes = 2048;

}  // namespace

Engine::Engine(const EngineMemory& memory, int waker) : memory_(memory), stats_(memory.stats), waker_(waker) {
  // Not a multiple of a power of two, so that the buffers' headers do not share the same cache sets.
  const uint32_t slot = (kSlotBytes + memory.headroomBytes + 63) & ~63u;
  bufferStride_ = slot + 5 * 64;
  bufferCount_ = std::min(kBuffers, memory.receiveBytes / 2 / bufferStride_);
  bufferStart_ = memory.receiveBytes - bufferCount_ * bufferStride_;
  slotStart_ = bufferStart_ - std::min(kSlotRegionBytes, memory.receiveBytes / 8);
  tunEnd_ = slotStart_;
  carveSlots(kSmallDatagramBytes);
}

// Slots hold the datagrams of the widest underlay; what is larger after all goes on into a buffer.
void Engine::carveSlots(uint32_t datagramBytes) {
  slotBytes_ = (datagramBytes + 63) & ~63u;
  // An odd number of cache lines apart, so that headers do not share the same cache sets.
  slotStride_ = slotBytes_ + (slotBytes_ / 64 % 2 == 0 ? 64 : 128);
  slotCount_ = std::min(kSlots, (bufferStart_ - slotStart_) / slotStride_);
}

Engine::~Engine() {
  if (epoll_ >= 0) close(epoll_);
}

SystemError Engine::open() {
  epoll_ = epoll_create1(EPOLL_CLOEXEC);
  if (epoll_ < 0) return systemError("epoll_create1", "engine");
  if (waker_ < 0) return {};
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u32 = kMaxPorts;
  if (epoll_ctl(epoll_, EPOLL_CTL_ADD, waker_, &event) != 0) return systemError("epoll_ctl", "waker");
  return {};
}

SystemError Engine::attach(std::unique_ptr<Port> port) {
  const std::string subject = "port " + std::to_string(port->id);
  if (ports_[port->id] != nullptr) {
    errno = EEXIST;
    return systemError("attach", subject);
  }
  const int flags = fcntl(port->fd, F_GETFL);
  if (flags < 0 || fcntl(port->fd, F_SETFL, flags | O_NONBLOCK) != 0) return systemError("fcntl", subject);
  if (port->kind == PortKind::kUdp) {
    int family = 0;
    socklen_t length = sizeof family;
    if (getsockopt(port->fd, SOL_SOCKET, SO_DOMAIN, &family, &length) != 0) return systemError("getsockopt", subject);
    port->queue = std::make_unique<SendQueue>(port->fd, family, port->gso, stats_);
  }
  if (port->kind != PortKind::kTap && !port->sendOnly) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u32 = static_cast<uint32_t>(port->id);
    if (epoll_ctl(epoll_, EPOLL_CTL_ADD, port->fd, &event) != 0) return systemError("epoll_ctl", subject);
    port->polled = true;
  }
  if (port->kind == PortKind::kUdp) {
    udpPorts_.push_back(port.get());
    const uint32_t datagramBytes = port->mtu + port->encapBytes;
    // Not while slots are in use: their distances would change under the runs that stand there.
    if (datagramBytes > slotBytes_ && described_ == filled_) carveSlots(datagramBytes);
  }
  ports_[port->id] = std::move(port);
  return {};
}

void Engine::detach(int id) {
  std::unique_ptr<Port> port = std::move(ports_[id]);
  if (port == nullptr) return;
  retire(*port);
  udpPorts_.erase(std::remove(udpPorts_.begin(), udpPorts_.end(), port.get()), udpPorts_.end());
  // What has arrived but is not described yet goes with its port.
  for (uint32_t i = described_; i < filled_; i++) {
    if (runs_[i].port == id) runs_[i].cursor = runs_[i].bytes;
  }
}

void Engine::retire(Port& port) {
  if (port.polled) epoll_ctl(epoll_, EPOLL_CTL_DEL, port.fd, nullptr);
  port.polled = false;
}

uint32_t Engine::exchange(uint32_t count, int timeoutMs) {
  transmit(std::min(count, memory_.descriptors.packets));
  receive(timeoutMs);
  return received_;
}

}  // namespace weft
