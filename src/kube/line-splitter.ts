/** Lines out of a stream of bytes, however it was cut: a character may come in two pieces, a line in a thousand. */

/** Longer than any object that a store takes, with both of its states. */
const MOST_LINE_BYTES = 32 * 1024 * 1024;
const NEWLINE = 0x0a;

/** Without the newline; empty ones are passed over, and a last one that the stream's end cut off. */
export async function* splitLines(stream: AsyncIterable<Buffer>): AsyncGenerator<string> {
  let parts: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of stream) {
    let start = 0;
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, start)) {
      parts.push(chunk.subarray(start, end));
      const line = parts.length === 1 ? parts[0] : Buffer.concat(parts);
      parts = [];
      bytes = 0;
      start = end + 1;
      if (line && line.length > 0) yield line.toString('utf8');
    }
    if (start === chunk.length) continue;
    parts.push(chunk.subarray(start));
    bytes += chunk.length - start;
    if (bytes > MOST_LINE_BYTES) throw new Error(`a line is longer than ${MOST_LINE_BYTES} bytes`);
  }
}
