/*
 * The addon's segmentation and coalescing by themselves, on one TCP super-packet behind a VXLAN header. Compiled with
 * the addon's own sources by offloads.ts.
 *
 *   offloads PAYLOAD_BYTES SEGMENT_BYTES SECONDS    prints {"segments":N,"segmentNs":NS,"coalesceNs":NS}, per segment
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <algorithm>
#include <vector>

#include "bytes.h"
#include "checksum.h"
#include "coalesce.h"
#include "segment.h"

using namespace weft;

static const uint32_t kPrefix = 22, kHeaders = kPrefix + 40;

static double now() {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1e9 + t.tv_nsec;
}

/** Median nanoseconds of a run of `work`. */
template <typename Work>
static double timeOf(double seconds, Work work) {
  std::vector<double> samples;
  for (double begun = now(), t = begun; t - begun < seconds * 1e9;) {
    work();
    double done = now();
    samples.push_back(done - t);
    t = done;
  }
  std::nth_element(samples.begin(), samples.begin() + samples.size() / 2, samples.end());
  return samples[samples.size() / 2];
}

static std::vector<uint8_t> superPacket(uint32_t payloadBytes) {
  std::vector<uint8_t> packet(kHeaders + payloadBytes);
  for (uint32_t i = kHeaders; i < packet.size(); i++) packet[i] = static_cast<uint8_t>(i * 131);
  uint8_t* ip = packet.data() + kPrefix;
  ip[0] = 0x45;
  store16(ip + 2, 40 + payloadBytes);
  ip[8] = 64;
  ip[9] = kTcp;
  memcpy(ip + 12, "\x0a\xf4\x01\x0a\x0a\xf4\x02\x0a", 8);
  uint8_t* tcp = ip + 20;
  store16(tcp, 40000);
  store16(tcp + 2, 5201);
  tcp[12] = 0x50;
  tcp[13] = 0x10;
  return packet;
}

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  const uint32_t payloadBytes = atoi(argv[1]), size = atoi(argv[2]);
  const double seconds = atof(argv[3]);
  auto packet = superPacket(payloadBytes);
  SuperPacket super;
  if (!describeSuper(packet.data(), packet.size(), packet.size(), kGsoTcpV4, size, 0, 0, kPrefix, super)) {
    return fprintf(stderr, "no super-packet\n"), 1;
  }
  const uint32_t stride = kHeaders + size;
  std::vector<uint8_t> cut(super.segments * stride);
  const double segmentNs = timeOf(seconds, [&] {
    for (uint32_t k = 0; k < super.segments; k++) writeSegmentHeader(super, k, cut.data() + k * stride);
  });
  for (uint32_t k = 0; k < super.segments; k++) {
    memcpy(cut.data() + k * stride + kHeaders, super.payload(k), super.payloadLength(k));
  }

  const uint32_t bytes = kHeaders * super.segments + payloadBytes;
  std::vector<int32_t> words(kFieldCount * 64);
  std::vector<double> slots(kStatCount);
  const Descriptors out = {words.data(), 64};
  uint8_t first[kHeaders];
  memcpy(first, cut.data(), kHeaders);
  uint32_t merged = 0;
  const double coalesceNs = timeOf(seconds, [&] {
    memcpy(cut.data(), first, kHeaders);  // it becomes the header of all
    ReceivedRun run;
    run.bytes = bytes;
    run.segmentBytes = run.stride = stride;
    run.encapBytes = kPrefix;
    merged = describeDatagrams(run, cut.data(), out, 0, 64, {slots.data()});
  });
  if (merged != 1) return fprintf(stderr, "%u packets instead of one\n", merged), 1;
  printf("{\"segments\":%u,\"segmentNs\":%.2f,\"coalesceNs\":%.2f}\n", super.segments, segmentNs / super.segments,
         coalesceNs / super.segments);
  return 0;
}
