// The Internet checksum (RFC 1071) over spans of bytes, by the widest vectors the processor has. Sums are kept in
// memory's byte order, unfolded, so that the parts of a packet can be summed apart and added; every part but the last
// must have an even length.
#pragma once
#include <cstddef>
#include <cstdint>

namespace weft {

using SumFunction = uint64_t (*)(const uint8_t* bytes, size_t length);

/** Ones-complement sum of 16-bit words in memory order; below 2^48 for any span a packet can have. */
extern const SumFunction sumBytes;

/** The variant of that name ("avx2", "sse2", "scalar"), or nullptr where this processor has none such. */
SumFunction sumVariant(const char* name);
const char* sumVariantName();

inline uint16_t foldSum(uint64_t sum) {
  sum = (sum & 0xffffffff) + (sum >> 32);
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>(sum);
}

}  // namespace weft
