// The engine's receiving half: TUN packets stand densely one behind the other in the arena, UDP datagrams in buffers
// of their own, because one receive may bring 64 KB of them. Ports take turns, each with a budget.
#include <errno.h>
#include <netinet/in.h>
#include <sched.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "engine.h"
#include "udp.h"

namespace weft {
namespace {

// A turn's budget: enough to pay for the turn, little enough that another port waits for microseconds.
constexpr uint32_t kTurnPackets = 64;
constexpr uint32_t kTurnBytes = 256 * 1024;
constexpr uint32_t kTurnBuffers = 16;
constexpr uint32_t kTurnSlots = 32;
constexpr uint32_t kErrorsInRow = 64;

// Lengthens a run by a datagram that stands in the slot behind its last, if they belong together: the peer's, and all
// of one size but the last.
bool joins(ReceivedRun& run, const ReceivedRun& next) {
  const uint32_t datagrams = (run.bytes + run.segmentBytes - 1) / run.segmentBytes;
  if (run.stride != next.stride || next.offset != run.offset + datagrams * run.stride) return false;
  if (run.bytes != datagrams * run.segmentBytes || next.bytes > run.segmentBytes) return false;
  if (run.port != next.port || run.peerPort != next.peerPort) return false;
  if (memcmp(run.peer, next.peer, sizeof run.peer) != 0) return false;
  run.bytes += next.bytes;
  return true;
}

int64_t monotonicNanos() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

}  // namespace

// Right after traffic more is likely, an answer above all, and waking a sleeping thread costs more than its packet: it
// looks again for a while, leaving the processor to whoever else can use it, before it sleeps.
int Engine::awaitReadable(int timeoutMs) {
  stats_.add(kSyscallsPoll);
  if (timeoutMs == 0 || !active_ || memory_.busyPollMicros == 0) {
    return epoll_wait(epoll_, events_, kEvents, timeoutMs);
  }
  int ready = epoll_wait(epoll_, events_, kEvents, 0);
  if (ready != 0) return ready;
  const int64_t end = monotonicNanos() + int64_t{memory_.busyPollMicros} * 1000;
  do {
    sched_yield();
    stats_.add(kSyscallsPoll);
    ready = epoll_wait(epoll_, events_, kEvents, 0);
    if (ready != 0) return ready;
  } while (monotonicNanos() < end);
  return epoll_wait(epoll_, events_, kEvents, timeoutMs);
}

void Engine::receive(int timeoutMs) {
  active_ = received_ > 0;
  received_ = 0;
  tunCursor_ = 0;
  if (described_ < filled_) {
    describeRuns();
  } else {
    filled_ = described_ = buffersUsed_ = slotsUsed_ = 0;
  }
  const int ready = awaitReadable(received_ > 0 ? 0 : timeoutMs);
  Port* readable[kEvents];
  uint32_t count = 0;
  for (int i = 0; i < ready; i++) {
    const uint32_t id = events_[i].data.u32;
    if (id == kMaxPorts) {
      uint64_t times;
      stats_.add(kSyscallsRead);
      (void)!::read(waker_, &times, sizeof times);
    } else if (ports_[id] != nullptr) {
      readable[count++] = ports_[id].get();
    }
  }
  if (count > 1) std::rotate(readable, readable + turn_++ % count, readable + count);
  while (count > 0) {
    uint32_t left = 0;
    for (uint32_t i = 0; i < count; i++) {
      if (receiveFrom(*readable[i])) readable[left++] = readable[i];
    }
    count = left;
  }
  stats_.add(kRxPackets, received_);
}

// True when the port has more, and the vector has room for it.
bool Engine::receiveFrom(Port& port) { return port.kind == PortKind::kUdp ? receiveUdp(port) : receiveTun(port); }

bool Engine::receiveTun(Port& port) {
  const Descriptors& out = memory_.descriptors;
  const uint32_t packetEnd = std::min(received_ + kTurnPackets, packetLimit());
  const uint32_t byteEnd = tunCursor_ + kTurnBytes;
  while (received_ < packetEnd && tunCursor_ < byteEnd) {
    const uint32_t offset = tunCursor_ + memory_.headroomBytes;
    if (offset + kSlotBytes > tunEnd_) return false;
    // The vnet header lands in the headroom, so that one buffer takes both: cheaper than a vector of two.
    uint8_t* const start = memory_.arena + offset - port.vnetHeaderBytes;
    const ssize_t bytes = ::read(port.fd, start, port.vnetHeaderBytes + kSlotBytes);
    stats_.add(kSyscallsRead);
    if (bytes < 0) {
      if (errno == EAGAIN || errno == EINTR) return false;
      // EINVAL is about one packet, which the vnet header cannot describe and which is gone; anything else, and many
      // of those in a row, about the device: it was deleted or is going. Polling it further would spin.
      if (errno == EINVAL && port.errorsInRow++ < kErrorsInRow) {
        stats_.add(kRxErrors);
        continue;
      }
      stats_.add(kPortGone);
      retire(port);
      return false;
    }
    port.errorsInRow = 0;
    const uint32_t length = static_cast<uint32_t>(bytes) - port.vnetHeaderBytes;
    if (bytes <= static_cast<ssize_t>(port.vnetHeaderBytes) || length > kMaxPacketBytes) {
      stats_.add(kRxTruncated);
      if (bytes == 0) {
        retire(port);
        return false;
      }
      continue;
    }
    VnetHeader header;
    memcpy(&header, start, std::min(port.vnetHeaderBytes, kVnetHeaderBytes));
    const uint32_t i = received_++;
    int32_t flags = 0;
    if ((header.flags & kVnetNeedsChecksum) != 0) flags = kChecksumPartial;
    else if ((header.flags & kVnetDataValid) != 0) flags = kChecksumVerified;
    out.at(kInPort, i) = port.id;
    out.at(kOutPort, i) = -1;
    out.at(kOffset, i) = static_cast<int32_t>(offset);
    out.at(kLength, i) = static_cast<int32_t>(length);
    out.at(kFlags, i) = flags;
    out.at(kGsoType, i) = header.gsoType & ~kGsoEcn;
    out.at(kGsoSize, i) = header.gsoSize;
    out.at(kChecksumStart, i) = flags == kChecksumPartial ? header.checksumStart : 0;
    out.at(kChecksumOffset, i) = flags == kChecksumPartial ? header.checksumOffset : 0;
    out.at(kStride, i) = 0;
    out.at(kHeaderBytes, i) = 0;
    out.at(kL3Offset, i) = 0;
    out.at(kPeer0, i) = 0;
    out.at(kPeer1, i) = 0;
    out.at(kPeer2, i) = 0;
    out.at(kPeer3, i) = 0;
    out.at(kPeerPort, i) = 0;
    out.at(kHash, i) = 0;
    tunCursor_ = (offset + length + 63) & ~63u;
  }
  return received_ < packetLimit();
}

// Where aggregates come, each message takes a buffer of 64 KB. Where datagrams come one by one, each takes a slot, and
// a buffer stands behind the slot for the rest of an aggregate that comes after all.
bool Engine::receiveUdp(Port& port) {
  const bool slots = port.singles && slotCount_ - slotsUsed_ >= kTurnBuffers;
  const uint32_t wanted = std::min({slots ? kTurnSlots : kTurnBuffers, bufferCount_ - buffersUsed_, kRuns - filled_,
                                    slots ? slotCount_ - slotsUsed_ : kTurnBuffers});
  if (wanted == 0 || described_ < filled_ || received_ >= packetLimit()) return false;
  for (uint32_t i = 0; i < wanted; i++) {
    iovec* pieces = messageBytes_[i];
    uint8_t* const buffer = memory_.arena + bufferAt(buffersUsed_ + i);
    if (slots) {
      pieces[0] = {memory_.arena + slotStart_ + (slotsUsed_ + i) * slotStride_, slotBytes_};
      pieces[1] = {buffer + slotBytes_, kSlotBytes - slotBytes_};
    } else {
      pieces[0] = {buffer, kSlotBytes};
    }
    msghdr& header = messages_[i].msg_hdr;
    header = {};
    header.msg_name = &sources_[i];
    header.msg_namelen = sizeof sources_[i];
    header.msg_iov = pieces;
    header.msg_iovlen = slots ? 2 : 1;
    header.msg_control = controls_[i];
    header.msg_controllen = sizeof controls_[i];
  }
  const int result = recvmmsg(port.fd, messages_, wanted, MSG_DONTWAIT, nullptr);
  stats_.add(kSyscallsReceive);
  if (result < 0) {
    // An ICMP answer to an earlier datagram reports itself here and is over with that.
    if (errno != EAGAIN && errno != EINTR) stats_.add(kRxErrors);
    return false;
  }
  const uint32_t got = static_cast<uint32_t>(result);
  const uint32_t firstRun = filled_;
  uint32_t usedBuffers = 0;
  bool aggregates = false;
  for (uint32_t i = 0; i < got; i++) {
    msghdr& header = messages_[i].msg_hdr;
    ReceivedRun run;
    run.bytes = run.segmentBytes = messages_[i].msg_len;
    run.port = port.id;
    run.encapBytes = port.encapBytes;
    run.mtu = port.mtu;
    run.trustPartial = port.trustPartial;
    for (cmsghdr* control = CMSG_FIRSTHDR(&header); control != nullptr; control = CMSG_NXTHDR(&header, control)) {
      if (control->cmsg_level != IPPROTO_UDP || control->cmsg_type != kUdpGro) continue;
      int segmentBytes;
      memcpy(&segmentBytes, CMSG_DATA(control), sizeof segmentBytes);
      if (segmentBytes > 0) run.segmentBytes = static_cast<uint32_t>(segmentBytes);
    }
    if ((header.msg_flags & MSG_TRUNC) != 0 || !peerWords(sources_[i], run.peer, run.peerPort)) {
      stats_.add(kRxTruncated);
      continue;
    }
    if (run.bytes == 0) continue;
    if (run.segmentBytes < run.bytes || run.bytes > slotBytes_) aggregates = true;
    if (slots && run.bytes <= slotBytes_) {
      run.offset = slotStart_ + (slotsUsed_ + i) * slotStride_;
    } else {
      run.offset = bufferAt(buffersUsed_ + i);
      usedBuffers = i + 1;
      if (slots) memcpy(memory_.arena + run.offset, messageBytes_[i][0].iov_base, slotBytes_);
    }
    run.stride = run.segmentBytes < run.bytes ? run.segmentBytes : slotStride_;
    if (!slots || filled_ == firstRun || !joins(runs_[filled_ - 1], run)) runs_[filled_++] = run;
  }
  if (slots) slotsUsed_ += got;
  buffersUsed_ += usedBuffers;
  if (aggregates) port.singles = false;
  else if (got > 1) port.singles = true;
  describeRuns();
  return got == wanted;
}

void Engine::describeRuns() {
  while (described_ < filled_) {
    ReceivedRun& run = runs_[described_];
    received_ = describeDatagrams(run, memory_.arena, memory_.descriptors, received_, packetLimit(), stats_);
    if (run.cursor < run.bytes) return;
    described_++;
  }
}

}  // namespace weft
