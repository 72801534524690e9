// Variants of the Internet checksum. Each adds 32-bit words into 64-bit lanes: ones-complement arithmetic lets the
// carries wait until the end (2^16 is 1 modulo 65535), and a lane cannot overflow below 16 GB.
#include "checksum.h"

#include <cstring>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace weft {
namespace {

inline uint64_t sumTail(const uint8_t* bytes, size_t length) {
  uint64_t sum = 0;
  while (length >= 4) {
    uint32_t word;
    memcpy(&word, bytes, 4);
    sum += word;
    bytes += 4;
    length -= 4;
  }
  if (length >= 2) {
    uint16_t word;
    memcpy(&word, bytes, 2);
    sum += word;
    bytes += 2;
    length -= 2;
  }
  // An odd last byte is the high half of a big-endian word, so the low half in little-endian memory order.
  if (length != 0) sum += bytes[0];
  return sum;
}

uint64_t sumScalar(const uint8_t* bytes, size_t length) {
  uint64_t even = 0, odd = 0;
  while (length >= 16) {
    uint64_t a, b;
    memcpy(&a, bytes, 8);
    memcpy(&b, bytes + 8, 8);
    even += (a & 0xffffffff) + (b & 0xffffffff);
    odd += (a >> 32) + (b >> 32);
    bytes += 16;
    length -= 16;
  }
  return even + odd + sumTail(bytes, length);
}

#if defined(__x86_64__)
uint64_t sumSse2(const uint8_t* bytes, size_t length) {
  const __m128i low = _mm_set1_epi64x(0xffffffff);
  __m128i even = _mm_setzero_si128(), odd = _mm_setzero_si128();
  while (length >= 32) {
    const __m128i a = _mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes));
    const __m128i b = _mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes + 16));
    even = _mm_add_epi64(even, _mm_add_epi64(_mm_and_si128(a, low), _mm_and_si128(b, low)));
    odd = _mm_add_epi64(odd, _mm_add_epi64(_mm_srli_epi64(a, 32), _mm_srli_epi64(b, 32)));
    bytes += 32;
    length -= 32;
  }
  uint64_t lanes[2];
  _mm_storeu_si128(reinterpret_cast<__m128i*>(lanes), _mm_add_epi64(even, odd));
  return lanes[0] + lanes[1] + sumTail(bytes, length);
}

__attribute__((target("avx2"))) uint64_t sumAvx2(const uint8_t* bytes, size_t length) {
  const __m256i low = _mm256_set1_epi64x(0xffffffff);
  __m256i even = _mm256_setzero_si256(), odd = _mm256_setzero_si256();
  while (length >= 64) {
    const __m256i a = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(bytes));
    const __m256i b = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(bytes + 32));
    even = _mm256_add_epi64(even, _mm256_add_epi64(_mm256_and_si256(a, low), _mm256_and_si256(b, low)));
    odd = _mm256_add_epi64(odd, _mm256_add_epi64(_mm256_srli_epi64(a, 32), _mm256_srli_epi64(b, 32)));
    bytes += 64;
    length -= 64;
  }
  uint64_t lanes[4];
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(lanes), _mm256_add_epi64(even, odd));
  return lanes[0] + lanes[1] + lanes[2] + lanes[3] + sumTail(bytes, length);
}
#endif

const char* chooseVariant() {
#if defined(__x86_64__)
  return __builtin_cpu_supports("avx2") ? "avx2" : "sse2";
#else
  return "scalar";
#endif
}

}  // namespace

SumFunction sumVariant(const char* name) {
#if defined(__x86_64__)
  if (strcmp(name, "avx2") == 0) return __builtin_cpu_supports("avx2") ? sumAvx2 : nullptr;
  if (strcmp(name, "sse2") == 0) return sumSse2;
#endif
  return strcmp(name, "scalar") == 0 ? sumScalar : nullptr;
}

const char* sumVariantName() { return chooseVariant(); }

const SumFunction sumBytes = sumVariant(chooseVariant());

}  // namespace weft
