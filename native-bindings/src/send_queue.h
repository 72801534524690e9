// Datagrams on their way to one UDP socket: equal-sized ones to one peer share a send (UDP_SEGMENT), sends share a
// system call (sendmmsg). Datagrams to one peer leave in the order they were added.
#pragma once
#include <sys/socket.h>
#include <sys/uio.h>

#include <cstdint>
#include <memory>

#include "stats.h"
#include "udp.h"

namespace weft {

class SendQueue {
 public:
  SendQueue(int fd, int family, bool gso, Stats stats);

  int family() const { return family_; }

  /**
   * Space for `bytes` of headers that must stay until the flush; sends what is queued when it is used up. nullptr when
   * there never is so much.
   */
  uint8_t* scratch(uint32_t bytes);

  /** Queues one datagram of one or two pieces; the bytes must stay until the flush. */
  void add(const sockaddr_storage& peer, socklen_t peerBytes, const iovec* pieces, uint32_t count);

  void flush();

 private:
  static constexpr uint32_t kMessages = 64;
  static constexpr uint32_t kPieces = 2 * kMaxSendSegments;
  static constexpr uint32_t kScratchBytes = 512 * 1024;

  // One send: one peer, datagrams of one size but the last, which may be shorter.
  struct Message {
    sockaddr_storage peer;
    socklen_t peerBytes;
    uint32_t segmentBytes, bytes, datagrams, pieces;
    bool closed;
    iovec vector[kPieces];
    uint8_t piecesOf[kMaxSendSegments];
    alignas(cmsghdr) uint8_t control[CMSG_SPACE(sizeof(uint16_t))];
  };

  Message* messageFor(const sockaddr_storage& peer, socklen_t peerBytes, uint32_t bytes, uint32_t pieces);
  void sendSingly(Message& message);
  bool waitWritable();

  const int fd_;
  const int family_;
  const bool gso_;
  const Stats stats_;
  uint32_t count_ = 0;
  uint32_t scratchUsed_ = 0;
  std::unique_ptr<Message[]> messages_;
  std::unique_ptr<uint8_t[]> scratch_;
  mmsghdr headers_[kMessages];
};

}  // namespace weft
