/**
 * Longest-prefix match: a trie with 8-bit strides over 16-byte addresses (IPv4 in mapped form), flattened into one
 * Int32Array. A node is 256 words; a word is 0 (no route), -(value + 1) for a leaf, or the word offset of a child
 * node. Prefixes are pushed down to leaves at build, so that a lookup reads one word per byte and never backtracks.
 * IPv4 lookups start at the node of ::ffff:0:0/96 and read at most 4 words.
 */
const NODE_WORDS = 256;
const V4_BYTES = 12;

export interface Route {
  /** 4 big-endian words, IPv4 mapped. Bits beyond the length are ignored. */
  address: readonly [number, number, number, number];
  /** Bits of prefix in the 128-bit form: an IPv4 /24 is 120. */
  lengthBits: number;
  /** What a match yields: an adjacency's index, 0 or more. */
  value: number;
}

export interface RouteTable {
  nodes: Int32Array;
  /** Word offset of the node for ::ffff:0:0/96, or a leaf or 0 as in a node's word. */
  v4: number;
}

/** No route. */
export const NO_ROUTE = -1;

export function buildRoutes(routes: readonly Route[]): RouteTable {
  let nodes = new Int32Array(NODE_WORDS * 64);
  let used = NODE_WORDS;
  const node = (inherited: number): number => {
    if (used + NODE_WORDS > nodes.length) {
      const grown = new Int32Array(nodes.length * 2);
      grown.set(nodes);
      nodes = grown;
    }
    nodes.fill(inherited, used, used + NODE_WORDS);
    used += NODE_WORDS;
    return used - NODE_WORDS;
  };
  // Shorter prefixes first: a longer one then overwrites or pushes down what it covers. Among equals the last wins.
  const sorted = routes.map((r, i) => ({ r, i })).sort((a, b) => a.r.lengthBits - b.r.lengthBits || a.i - b.i);
  for (const { r } of sorted) {
    const leaf = -(r.value + 1);
    let at = 0;
    let byte = 0;
    for (; (byte + 1) * 8 < r.lengthBits; byte++) {
      const slot = at + addressByte(r.address, byte);
      let next = nodes[slot];
      if (next <= 0) {
        next = node(next);
        nodes[slot] = next;
      }
      at = next;
    }
    const bits = r.lengthBits - byte * 8;
    const first = addressByte(r.address, byte) & (0xff << (8 - bits)) & 0xff;
    nodes.fill(leaf, at + first, at + first + (1 << (8 - bits)));
  }
  let v4 = 0;
  for (let byte = 0; byte < V4_BYTES; byte++) {
    v4 = nodes[v4 + (byte < 10 ? 0 : 0xff)];
    if (v4 <= 0) break;
  }
  return { nodes: nodes.slice(0, used), v4 };
}

function addressByte(address: readonly [number, number, number, number], byte: number): number {
  return ((address[byte >> 2] as number) >>> (24 - (byte & 3) * 8)) & 0xff;
}

/** The value of the longest prefix that covers an IPv4 address (host-order uint32), or NO_ROUTE. */
export function lookup4(table: RouteTable, address: number): number {
  const nodes = table.nodes;
  let word = table.v4;
  if (word > 0) word = nodes[word + (address >>> 24)];
  if (word > 0) word = nodes[word + ((address >>> 16) & 0xff)];
  if (word > 0) word = nodes[word + ((address >>> 8) & 0xff)];
  if (word > 0) word = nodes[word + (address & 0xff)];
  return -word - 1;
}

/** The same for any address, given as 4 big-endian words. */
export function lookup(table: RouteTable, w0: number, w1: number, w2: number, w3: number): number {
  if (w0 === 0 && w1 === 0 && w2 === 0xffff) return lookup4(table, w3);
  const nodes = table.nodes;
  let word = 0;
  for (let byte = 0; byte < 16; byte++) {
    const w = byte < 4 ? w0 : byte < 8 ? w1 : byte < 12 ? w2 : w3;
    word = nodes[word + ((w >>> (24 - (byte & 3) * 8)) & 0xff)];
    if (word <= 0) break;
  }
  return -word - 1;
}
