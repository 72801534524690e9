// Super-packets of one TCP connection that follow each other out of the same device become one write of up to hundreds
// of kilobytes: what the receiving stack does for a packet it then does once for all of them, acknowledging included.
// Beyond 65,535 bytes the IPv4 total length is 0, which Linux takes from a device that says it is a super-packet since
// 6.3 ("BIG TCP"), and IPv6 has a hop-by-hop option with the length (RFC 2675); the probe finds out.
#pragma once
#include <cstdint>

#include "segment.h"

namespace weft {

// A device takes more than this in one write from no one (17 fragments of 32 KB, less what the headers need).
constexpr uint32_t kMaxMergeBytes = 512 * 1024;
// The hop-by-hop header with its one option.
constexpr uint32_t kJumboBytes = 8;

enum class Relation {
  kOther,      // of another connection: may be overtaken
  kContinues,  // the bytes right behind, under the same headers
  kStops       // of the same connection, but not to be merged: nothing behind it may overtake it
};

// How far behind a super-packet its continuation is looked for.
constexpr uint32_t kMergeReach = 64;

/** A super-packet with the payload of others behind its own. */
struct MergedPacket {
  explicit MergedPacket(const SuperPacket& first);

  const SuperPacket& first;
  uint32_t payloadBytes;
  uint32_t packets = 1;
  uint64_t followers = 0;  // bit k: the packet k places behind the first is part of it
  uint8_t ownFlags;        // the first one's TCP flags

  bool mergeable() const;
  /** How a packet further back in the vector relates to this one. */
  Relation relate(const uint8_t* packet, const InnerPacket& inner) const;
  /** Appends a super-packet that continues this one and stands so many places behind the first. */
  void append(const SuperPacket& next, uint32_t places);
  /** Makes the first one's headers those of itself alone again. */
  void dissolve();
  uint32_t l4BytesOfAll() const;
  /** Whether its length needs the jumbo payload option. */
  bool isJumbo() const;
  /** Writes the IPv6 header with that option behind it, 48 bytes, which take the place of the first one's own 40. */
  void writeJumboHeader(uint8_t* front) const;
  /** Writes lengths and checksums for all of the payload into the first one's headers. */
  void writeHeaders() const;
};

}  // namespace weft
