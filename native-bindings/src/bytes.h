// Big-endian fields in packet bytes. Offsets are the caller's to have checked.
#pragma once
#include <cstdint>
#include <cstring>

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "vnet headers of TUN devices are written in host order");

namespace weft {

inline uint16_t load16(const uint8_t* p) { return static_cast<uint16_t>(p[0] << 8 | p[1]); }
inline uint32_t load32(const uint8_t* p) {
  uint32_t v;
  memcpy(&v, p, 4);
  return __builtin_bswap32(v);
}
inline void store16(uint8_t* p, uint32_t v) {
  p[0] = static_cast<uint8_t>(v >> 8);
  p[1] = static_cast<uint8_t>(v);
}
inline void store32(uint8_t* p, uint32_t v) {
  v = __builtin_bswap32(v);
  memcpy(p, &v, 4);
}
// Without a change of byte order: for checksums, which are the same in either (RFC 1071 section 2 (B)).
inline uint16_t load16Raw(const uint8_t* p) {
  uint16_t v;
  memcpy(&v, p, 2);
  return v;
}
inline void store16Raw(uint8_t* p, uint16_t v) { memcpy(p, &v, 2); }
inline uint16_t swap16(uint32_t v) { return __builtin_bswap16(static_cast<uint16_t>(v)); }

}  // namespace weft
