/**
 * Big-endian integers in a byte array, as every header here stores them. The lowest step of the packet flow; callers
 * have checked the length before, for a read past the end yields 0 or NaN in JavaScript instead of an error.
 */

/** The 16 bits at `o`, 0 to 0xffff. */
export function u16(b: Uint8Array, o: number): number {
  return (b[o] << 8) | b[o + 1];
}

/** The 32 bits at `o`, 0 to 0xffffffff. */
export function u32(b: Uint8Array, o: number): number {
  return ((b[o] << 24) | (b[o + 1] << 16) | (b[o + 2] << 8) | b[o + 3]) >>> 0;
}

/**
 * The same as a signed number, which is what a word of an Int32Array is: a call of u32 that the engine does not inline
 * allocates a number for what is above 2 ** 31.
 */
export function i32(b: Uint8Array, o: number): number {
  return (b[o] << 24) | (b[o + 1] << 16) | (b[o + 2] << 8) | b[o + 3];
}

/** Stores the low 16 bits of `value`. */
export function setU16(b: Uint8Array, o: number, value: number): void {
  b[o] = value >>> 8;
  b[o + 1] = value;
}

/** Stores the low 32 bits of `value`, signed or unsigned. */
export function setU32(b: Uint8Array, o: number, value: number): void {
  b[o] = value >>> 24;
  b[o + 1] = value >>> 16;
  b[o + 2] = value >>> 8;
  b[o + 3] = value;
}
