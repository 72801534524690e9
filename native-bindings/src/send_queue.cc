#include "send_queue.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>

#include <cstring>

namespace weft {

SendQueue::SendQueue(int fd, int family, bool gso, Stats stats)
    : fd_(fd), family_(family), gso_(gso), stats_(stats), messages_(new Message[kMessages]),
      scratch_(new uint8_t[kScratchBytes]) {}

uint8_t* SendQueue::scratch(uint32_t bytes) {
  if (bytes > kScratchBytes) return nullptr;
  if (scratchUsed_ + bytes > kScratchBytes) flush();
  uint8_t* space = scratch_.get() + scratchUsed_;
  scratchUsed_ += (bytes + 15) & ~15u;
  return space;
}

SendQueue::Message* SendQueue::messageFor(const sockaddr_storage& peer, socklen_t peerBytes, uint32_t bytes,
                                          uint32_t pieces) {
  // Only the last message to a peer may grow, or its datagrams would leave out of order.
  constexpr uint32_t kLookBack = 4;
  for (uint32_t back = 1; gso_ && back <= kLookBack && back <= count_; back++) {
    Message& last = messages_[count_ - back];
    if (last.peerBytes != peerBytes || memcmp(&last.peer, &peer, peerBytes) != 0) continue;
    const bool fits = !last.closed && bytes <= last.segmentBytes && last.datagrams < kMaxSendSegments &&
                      last.bytes + bytes <= kMaxSendBytes && last.pieces + pieces <= kPieces;
    if (fits) return &last;
    break;
  }
  if (count_ == kMessages) return nullptr;
  Message& fresh = messages_[count_++];
  memcpy(&fresh.peer, &peer, peerBytes);
  fresh.peerBytes = peerBytes;
  fresh.segmentBytes = bytes;
  fresh.bytes = fresh.datagrams = fresh.pieces = 0;
  fresh.closed = false;
  return &fresh;
}

void SendQueue::add(const sockaddr_storage& peer, socklen_t peerBytes, const iovec* pieces, uint32_t count) {
  uint32_t bytes = 0;
  for (uint32_t i = 0; i < count; i++) bytes += static_cast<uint32_t>(pieces[i].iov_len);
  if (bytes > kMaxSendBytes) {
    stats_.add(kTxMalformed);
    return;
  }
  Message* message = messageFor(peer, peerBytes, bytes, count);
  if (message == nullptr) {
    // Pieces may stand in the scratch space, which a flush gives back: it is handed out anew only by scratch(), so
    // what has just been written there is kept by moving the mark back up.
    const uint32_t used = scratchUsed_;
    flush();
    scratchUsed_ = used;
    message = messageFor(peer, peerBytes, bytes, count);
  }
  for (uint32_t i = 0; i < count; i++) message->vector[message->pieces++] = pieces[i];
  message->piecesOf[message->datagrams++] = static_cast<uint8_t>(count);
  message->bytes += bytes;
  if (bytes < message->segmentBytes) message->closed = true;
  if (message->datagrams > 1) stats_.add(kPackedDatagrams);
}

bool SendQueue::waitWritable() {
  pollfd writable{fd_, POLLOUT, 0};
  stats_.add(kSyscallsPoll);
  return poll(&writable, 1, 1) > 0;
}

void SendQueue::flush() {
  for (uint32_t i = 0; i < count_; i++) {
    Message& message = messages_[i];
    msghdr& header = headers_[i].msg_hdr;
    header = {};
    header.msg_name = &message.peer;
    header.msg_namelen = message.peerBytes;
    header.msg_iov = message.vector;
    header.msg_iovlen = message.pieces;
    if (message.datagrams == 1) continue;
    header.msg_control = message.control;
    header.msg_controllen = sizeof message.control;
    cmsghdr* control = CMSG_FIRSTHDR(&header);
    control->cmsg_level = IPPROTO_UDP;
    control->cmsg_type = kUdpSegment;
    control->cmsg_len = CMSG_LEN(sizeof(uint16_t));
    const uint16_t segmentBytes = static_cast<uint16_t>(message.segmentBytes);
    memcpy(CMSG_DATA(control), &segmentBytes, sizeof segmentBytes);
  }
  uint32_t sent = 0;
  uint32_t waits = 0;
  while (sent < count_) {
    const int result = sendmmsg(fd_, headers_ + sent, count_ - sent, MSG_DONTWAIT);
    stats_.add(kSyscallsSend);
    if (result > 0) {
      sent += static_cast<uint32_t>(result);
      continue;
    }
    Message& message = messages_[sent];
    switch (errno) {
      case EINTR:
        continue;
      case EAGAIN:
        if (waits++ < 2) {
          waitWritable();
          continue;
        }
        stats_.add(kTxDropped, message.datagrams);
        break;
      case ECONNREFUSED:
      case EHOSTUNREACH:
      case ENETUNREACH:
      case EHOSTDOWN:
        // Perhaps an earlier datagram's answer, perhaps this one's: counted, and the next are tried.
        stats_.add(kTxRefused, message.datagrams);
        break;
      case EIO:
      case EINVAL:
      case EMSGSIZE:
        if (message.datagrams > 1) {
          // The route's device takes no segmentation, or its MTU is below the segments'.
          stats_.add(kSegmentSendFallbacks);
          sendSingly(message);
          break;
        }
        stats_.add(kTxErrors);
        break;
      default:
        stats_.add(errno == ENOBUFS ? kTxDropped : kTxErrors, message.datagrams);
    }
    sent++;
  }
  count_ = 0;
  scratchUsed_ = 0;
}

void SendQueue::sendSingly(Message& message) {
  mmsghdr singles[kMaxSendSegments];
  iovec* piece = message.vector;
  for (uint32_t i = 0; i < message.datagrams; i++) {
    singles[i] = {};
    singles[i].msg_hdr.msg_name = &message.peer;
    singles[i].msg_hdr.msg_namelen = message.peerBytes;
    singles[i].msg_hdr.msg_iov = piece;
    singles[i].msg_hdr.msg_iovlen = message.piecesOf[i];
    piece += message.piecesOf[i];
  }
  uint32_t sent = 0;
  uint32_t waits = 0;
  while (sent < message.datagrams) {
    const int result = sendmmsg(fd_, singles + sent, message.datagrams - sent, MSG_DONTWAIT);
    stats_.add(kSyscallsSend);
    if (result > 0) {
      sent += static_cast<uint32_t>(result);
    } else if (errno == EAGAIN && waits++ < 2) {
      waitWritable();
    } else if (errno != EINTR) {
      stats_.add(kTxErrors);
      sent++;
    }
  }
}

}  // namespace weft
