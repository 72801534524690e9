/** Seeded mutation of messages, for the tests that feed parsers what nobody should send. */

/** xorshift32: the same messages in every run. */
export function randomFrom(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

/** One to seven changes of the kinds that break parsers: bits, lengths, pointers, cuts, repeats. */
export function mutated(message: Buffer, random: (below: number) => number): Buffer {
  let bytes = Buffer.from(message);
  for (let changes = 1 + random(1 + random(6)); changes > 0; changes--) {
    const at = random(Math.max(1, bytes.length));
    switch (random(7)) {
      case 0:
        bytes[at] = random(256);
        break;
      case 1:
        bytes[at] = (bytes[at] ?? 0) ^ (1 << random(8));
        break;
      case 2:
        bytes = bytes.subarray(0, at);
        break;
      case 3:
        bytes = Buffer.concat([bytes.subarray(0, at), Buffer.from([random(256)]), bytes.subarray(at)]);
        break;
      case 4:
        bytes = Buffer.concat([bytes, bytes.subarray(at)]);
        break;
      case 5:
        // Another case of the same letter, where it is one.
        bytes[at] = (bytes[at] ?? 0) ^ 0x20;
        break;
      default:
        bytes[at] = [0, 1, 0x3f, 0x40, 0xc0, 0xff][random(6)] ?? 0;
    }
  }
  return bytes.subarray(0, 65535);
}
