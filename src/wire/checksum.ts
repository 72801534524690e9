/**
 * The Internet checksum: RFC 1071 for the whole of it, RFC 1624 for changing a part. Sums are kept unfolded until
 * the end; `fold` brings them to 16 bits, `finish` complements. Two kinds of field need two kinds of update: a true
 * checksum is complemented, the pseudo-header sum of a packet with its checksum left to the device is not.
 */

/** Adds `length` bytes, as big-endian 16-bit words, to `initial`; a last odd byte is a word's high half. Unfolded. */
export function sum(bytes: Uint8Array, offset: number, length: number, initial = 0): number {
  const end = offset + length;
  const even = end - (length & 1);
  let s = 0;
  for (let i = offset; i < even; i += 2) s += (bytes[i] << 8) | bytes[i + 1];
  if (even !== end) s += bytes[even] << 8;
  return s + initial;
}

/** An unfolded sum, below 2 ** 53, as 16 bits: 0 for 0 only. */
export function fold(unfolded: number): number {
  // 2 ** 32 is congruent to 1 as 2 ** 16 is, so the part above 32 bits adds in as it is.
  let s = unfolded;
  while (s > 0xffffffff) s = (s >>> 0) + Math.floor(s / 0x100000000);
  while (s > 0xffff) s = (s & 0xffff) + (s >>> 16);
  return s;
}

/** The checksum of an unfolded sum. UDP sends 0xffff where this is 0. */
export function finish(unfolded: number): number {
  return ~fold(unfolded) & 0xffff;
}

/** A true checksum after one of the 16-bit words it covers changed (RFC 1624, equation 3). */
export function adjust16(check: number, old16: number, new16: number): number {
  let s = (~check & 0xffff) + (~old16 & 0xffff) + new16;
  s = (s & 0xffff) + (s >>> 16);
  s = (s & 0xffff) + (s >>> 16);
  return ~s & 0xffff;
}

/** The same for 32 bits at an even offset: an IPv4 address, a sequence number, or two ports. */
export function adjust32(check: number, old32: number, new32: number): number {
  let s = (~check & 0xffff) + (~old32 >>> 16) + (~old32 & 0xffff) + (new32 >>> 16) + (new32 & 0xffff);
  s = (s & 0xffff) + (s >>> 16);
  s = (s & 0xffff) + (s >>> 16);
  return ~s & 0xffff;
}

/**
 * The pseudo-header sum in the checksum field of a packet whose checksum is left to the device, after one 16-bit
 * word of the pseudo-header changed. The field is not complemented. Words outside the pseudo-header, such as ports,
 * are not in it: a change there needs no update.
 */
export function partialAdjust16(field: number, old16: number, new16: number): number {
  let s = field + (~old16 & 0xffff) + new16;
  s = (s & 0xffff) + (s >>> 16);
  return (s & 0xffff) + (s >>> 16);
}

/** The same for a 32-bit word of the pseudo-header: an IPv4 address or a quarter of an IPv6 one. */
export function partialAdjust32(field: number, old32: number, new32: number): number {
  let s = field + (~old32 >>> 16) + (~old32 & 0xffff) + (new32 >>> 16) + (new32 & 0xffff);
  s = (s & 0xffff) + (s >>> 16);
  return (s & 0xffff) + (s >>> 16);
}

/** Unfolded sum of the IPv4 pseudo-header (RFC 9293 section 3.1); addresses are 32-bit words, `lengthBytes` of L4. */
export function pseudoSum4(source: number, destination: number, protocol: number, lengthBytes: number): number {
  return (source >>> 16) + (source & 0xffff) + (destination >>> 16) + (destination & 0xffff) + protocol + lengthBytes;
}

/** Unfolded sum of the IPv6 pseudo-header (RFC 8200 section 8.1) of the IPv6 header at `ip6Offset`. */
export function pseudoSum6(bytes: Uint8Array, ip6Offset: number, nextHeader: number, lengthBytes: number): number {
  const length = (lengthBytes >>> 16) + (lengthBytes & 0xffff);
  return sum(bytes, ip6Offset + 8, 32, nextHeader + length);
}
