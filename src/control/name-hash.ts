/**
 * A hash of names, the same on every host and in every version: allocated addresses and the order of endpoints hang
 * on it. FNV-1a over UTF-16 units, then the finaliser of MurmurHash3, for the low bits are used.
 */
export function nameHash(name: string, seed = 0): number {
  let h = 0x811c9dc5 ^ seed;
  for (let i = 0; i < name.length; i++) h = Math.imul(h ^ name.charCodeAt(i), 0x01000193);
  return mix(h);
}

/** Spreads a 32-bit number over 32 bits. */
export function mix(value: number): number {
  let h = value;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}
