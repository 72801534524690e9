/**
 * Header blocks of SPDY/3.1: pairs of names and values, compressed in one zlib context a direction of a connection
 * (SPDY draft 3.1, section 2.6.10).
 *
 *   number of pairs │ length of name │ name │ length of value │ value │ …      lengths of 32 bits
 */
import { constants, createDeflate, createInflate, type Deflate, type Inflate } from 'node:zlib';

/** The peer does not speak SPDY/3.1, or too much of it. */
export class SpdyError extends Error {
  readonly code = 'WEFT_SPDY';
}

const MOST_BLOCK_BYTES = 64 * 1024;
const MOST_HEADERS = 100;

/** What both directions start from: words with their lengths in front, then text. */
const DICTIONARY_WORDS = [
  ...'options head post put delete trace accept accept-charset accept-encoding accept-language accept-ranges'.split(
    ' ',
  ),
  ...'age allow authorization cache-control connection content-base content-encoding content-language'.split(' '),
  ...'content-length content-location content-md5 content-range content-type date etag expect expires'.split(' '),
  ...'from host if-match if-modified-since if-none-match if-range if-unmodified-since last-modified'.split(' '),
  ...'location max-forwards pragma proxy-authenticate proxy-authorization range referer retry-after'.split(' '),
  ...'server te trailer transfer-encoding upgrade user-agent vary via warning www-authenticate'.split(' '),
  ...['method', 'get', 'status', '200 OK', 'version', 'HTTP/1.1', 'url', 'public', 'set-cookie', 'keep-alive'],
  'origin',
];
const DICTIONARY_TEXT =
  '100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505' +
  '203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized' +
  '403 Forbidden404 Not Found500 Internal Server Error501 Not Implemented503 Service Unavailable' +
  'Jan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMT' +
  'chunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,text/plain,' +
  'text/javascript,publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0.';

export const HEADER_DICTIONARY = Buffer.concat([
  ...DICTIONARY_WORDS.flatMap((word) => lengthFirst(word)),
  Buffer.from(DICTIONARY_TEXT, 'latin1'),
]);

function lengthFirst(text: string): Buffer[] {
  const bytes = Buffer.from(text, 'utf8');
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length);
  return [length, bytes];
}

/** Both directions of one connection. Blocks must be given in the order of their frames, one after the other. */
export class HeaderCodec {
  readonly #inflate: ZlibContext;
  readonly #deflate: ZlibContext;

  constructor() {
    const options = { dictionary: HEADER_DICTIONARY, flush: constants.Z_SYNC_FLUSH };
    this.#inflate = new ZlibContext(createInflate(options));
    this.#deflate = new ZlibContext(createDeflate(options));
  }

  encode(headers: ReadonlyMap<string, string>): Promise<Buffer> {
    const count = Buffer.alloc(4);
    count.writeUInt32BE(headers.size);
    const pairs = [...headers].flatMap(([name, value]) => [...lengthFirst(name), ...lengthFirst(value)]);
    return this.#deflate.run(Buffer.concat([count, ...pairs]));
  }

  /** Names in lower case. Throws SpdyError. */
  async decode(block: Buffer): Promise<Map<string, string>> {
    return readPairs(await this.#inflate.run(block));
  }

  close(): void {
    this.#inflate.close();
    this.#deflate.close();
  }
}

function readPairs(bytes: Buffer): Map<string, string> {
  let at = 0;
  const readLength = (): number => {
    if (at + 4 > bytes.length) throw new SpdyError('a header block ends early');
    at += 4;
    return bytes.readUInt32BE(at - 4);
  };
  const readText = (): string => {
    const length = readLength();
    if (length > bytes.length - at) throw new SpdyError('a header is longer than its block');
    at += length;
    return bytes.toString('utf8', at - length, at);
  };
  const count = readLength();
  if (count > MOST_HEADERS) throw new SpdyError(`more than ${MOST_HEADERS} headers`);
  const headers = new Map<string, string>();
  for (let i = 0; i < count; i++) headers.set(readText().toLowerCase(), readText());
  return headers;
}

/** A zlib stream that is given a piece at a time and says what comes of it. */
class ZlibContext {
  readonly #stream: Inflate | Deflate;
  #chunks: Buffer[] = [];
  #bytes = 0;
  #failure: Error | undefined;
  #fail: (error: Error) => void = () => {};

  constructor(stream: Inflate | Deflate) {
    this.#stream = stream;
    stream.on('data', (chunk: Buffer) => {
      this.#bytes += chunk.length;
      if (this.#bytes <= MOST_BLOCK_BYTES) this.#chunks.push(chunk);
      else this.#end(new SpdyError(`a header block of more than ${MOST_BLOCK_BYTES} bytes`));
    });
    stream.on('error', (error) => this.#end(error));
  }

  run(piece: Buffer): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      this.#fail = reject;
      if (this.#failure) {
        reject(this.#failure);
        return;
      }
      this.#stream.write(piece, () => {
        if (this.#failure) return;
        resolve(Buffer.concat(this.#chunks));
        this.#chunks = [];
        this.#bytes = 0;
      });
    });
  }

  close(): void {
    this.#end(new SpdyError('the connection is closed'));
  }

  /** What waits for it is told, and all that comes after. */
  #end(error: Error): void {
    this.#failure ??= error;
    this.#fail(this.#failure);
    this.#stream.destroy();
  }
}
