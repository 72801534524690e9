// One packet vector's worth of input and output over a set of ports, driven by JavaScript: transmit what was decided,
// wait, receive the next. It stands at both ends of the packet flow and decides nothing about packets. File
// descriptors belong to the caller; the engine owns its epoll instance and scratch memory.
#pragma once
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "coalesce.h"
#include "layout.h"
#include "merge.h"
#include "netns.h"
#include "segment.h"
#include "send_queue.h"
#include "stats.h"
#include "tun.h"

namespace weft {

enum class PortKind { kTun, kUdp, kTap };

struct Port {
  int id = 0;
  int fd = -1;
  PortKind kind = PortKind::kTun;
  uint32_t vnetHeaderBytes = 0;  // 0: the device takes no offloads, segments and checksums are made here
  bool gso = false;
  uint32_t encapBytes = 0;
  uint32_t mtu = 0;
  bool trustPartial = false;
  uint32_t mergeBytes = 0;  // most payload of IPv4 super-packets that are written as one; 0: none are
  uint32_t mergeBytes6 = 0;
  bool sendOnly = false;  // another engine reads it
  bool polled = false;
  bool singles = false;  // its datagrams came one by one last time: no aggregates, as on a plain wire
  uint32_t errorsInRow = 0;
  std::unique_ptr<SendQueue> queue;
};

struct EngineMemory {
  uint8_t* arena = nullptr;
  uint32_t arenaBytes = 0;
  Descriptors descriptors;
  uint32_t receiveBytes = 0;
  uint32_t sparePackets = 0;
  uint32_t headroomBytes = 0;
  uint32_t busyPollMicros = 0;
  Stats stats;
};

class Engine {
 public:
  Engine(const EngineMemory& memory, int waker);
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  SystemError open();
  SystemError attach(std::unique_ptr<Port> port);
  void detach(int id);

  /** Transmits packets 0..count-1, then receives; returns how many. Timeout in milliseconds, -1 for none. */
  uint32_t exchange(uint32_t count, int timeoutMs);

 private:
  // transmit.cc
  void transmit(uint32_t count);
  bool describeSuperAt(uint32_t packet, SuperPacket& super) const;
  void transmitToTun(Port& port, uint32_t packet, uint32_t end);
  void transmitSegmentsToTun(Port& port, const SuperPacket& super);
  void transmitToUdp(Port& port, uint32_t packet);
  void transmitToTap(Port& port, uint32_t packet);
  uint32_t superPieces(const SuperPacket& super, iovec* pieces) const;
  uint32_t mergeFollowing(uint32_t mergeBytes, MergedPacket& merged, uint32_t packet, uint32_t end, iovec* pieces,
                          uint32_t used);
  bool write(Port& port, const iovec* pieces, uint32_t count);
  void flushQueues();

  // receive.cc
  void receive(int timeoutMs);
  int awaitReadable(int timeoutMs);
  bool receiveFrom(Port& port);
  bool receiveTun(Port& port);
  bool receiveUdp(Port& port);
  void describeRuns();
  void retire(Port& port);
  void carveSlots(uint32_t datagramBytes);
  uint32_t bufferAt(uint32_t i) const { return bufferStart_ + i * bufferStride_ + memory_.headroomBytes; }
  uint32_t packetLimit() const { return memory_.descriptors.packets - memory_.sparePackets; }

  static constexpr uint32_t kBuffers = 32;
  static constexpr uint32_t kSlots = 256;
  static constexpr uint32_t kRuns = kBuffers + kSlots;
  static constexpr uint32_t kEvents = 128;

  const EngineMemory memory_;
  const Stats stats_;
  const int waker_;
  int epoll_ = -1;
  std::unique_ptr<Port> ports_[kMaxPorts];
  std::vector<Port*> udpPorts_;

  uint32_t received_ = 0;
  bool active_ = false;  // the last vector brought packets
  uint32_t turn_ = 0;
  uint32_t tunCursor_ = 0;
  uint32_t tunEnd_ = 0;

  // Behind the TUNs' part of the receive region: buffers for aggregates of up to 64 KB, and slots for datagrams that
  // come one by one, at equal distances. Used from 0 up in each vector; a vector that has no descriptors left for what
  // has arrived leaves the rest to the next.
  uint32_t bufferStart_ = 0;
  uint32_t bufferCount_ = 0;
  uint32_t bufferStride_ = 0;
  uint32_t buffersUsed_ = 0;
  uint32_t slotStart_ = 0;
  uint32_t slotCount_ = 0;
  uint32_t slotBytes_ = 0;
  uint32_t slotStride_ = 0;
  uint32_t slotsUsed_ = 0;
  uint32_t filled_ = 0;
  uint32_t described_ = 0;
  ReceivedRun runs_[kRuns];
  mmsghdr messages_[kBuffers];
  iovec messageBytes_[kBuffers][2];
  sockaddr_storage sources_[kBuffers];
  alignas(cmsghdr) uint8_t controls_[kBuffers][CMSG_SPACE(sizeof(int))];
  epoll_event events_[kEvents];
};

}  // namespace weft
