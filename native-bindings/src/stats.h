// Counters of the engine: slots of a Float64Array that JavaScript owns and reads at any time without a call.
#pragma once
#include <cstdint>

namespace weft {

enum Stat : uint32_t {
  kTxPackets, kTxErrors, kTxDropped, kTxMalformed, kTxRefused, kRxPackets, kRxTruncated, kRxErrors, kCoalescedSegments,
  kCoalescedPackets, kMergedPackets, kMergeFallbacks, kSegmentedPackets, kSegments, kPackedDatagrams,
  kSegmentSendFallbacks, kGsoFallbacks, kChecksumBad, kPartialTrusted, kPortGone, kSyscallsSend, kSyscallsReceive,
  kSyscallsRead, kSyscallsWrite, kSyscallsPoll, kStatCount
};

constexpr const char* kStatNames[kStatCount] = {
    "txPackets", "txErrors", "txDropped", "txMalformed", "txRefused", "rxPackets", "rxTruncated", "rxErrors",
    "coalescedSegments", "coalescedPackets", "mergedPackets", "mergeFallbacks", "segmentedPackets", "segments",
    "packedDatagrams", "segmentSendFallbacks", "gsoFallbacks", "checksumBad", "partialTrusted", "portGone",
    "syscallsSend", "syscallsReceive", "syscallsRead", "syscallsWrite", "syscallsPoll"};

struct Stats {
  double* slots = nullptr;

  void add(Stat stat, double amount = 1) const { slots[stat] += amount; }
};

}  // namespace weft
