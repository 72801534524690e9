/**
 * Reads what a run of a container said, as weft_container wrote it (native-bindings/src/container_log.cc): records of
 * time, stream, F or P, text, in a file and those that it was rotated to, FILE.4 … FILE.1 from old to new. Reads in
 * pieces, so that memory does not grow with the log, and follows across rotation by the files' inodes.
 */
import { constants } from 'node:fs';
import { type FileHandle, open, stat } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';

export interface LogOptions {
  /** The last lines alone, of those that the other options leave. */
  tailLines?: number;
  /** Not before. */
  since?: Date;
  /** Each line begins with its time. */
  timestamps?: boolean;
  /** Wait for more until the run is over. */
  follow?: boolean;
  limitBytes?: number;
}

export interface LogRun {
  path: string;
  /** Whether nothing is written any more. */
  isOver(): boolean;
  /** Resolves when there may be more; where nobody says so, after a moment. */
  more?(): Promise<void>;
  /** What stands before is not wanted any more by whoever is far behind. */
  skipTo?(): LogPosition | undefined;
}

export interface LogPosition {
  /** Of one of its files; one that is not there any more stands for the oldest. */
  inode: number;
  offset: number;
}

/** What a run said on one of its streams. */
export interface OutputPiece {
  stream: 'stdout' | 'stderr';
  text: Buffer;
}

/** `2026-11-21T09:43:58.145440354Z stdout F `: all parts have their width. */
const TIME_CHARACTERS = 30;
/** Of the letters that tell stderr from stdout. */
const STREAM_AT = 34;
const TAG_AT = 38;
const TEXT_AT = 40;
/** Of a time, what a Date holds: up to milliseconds. */
const DATE_CHARACTERS = 23;
const NEWLINE = 0x0a;
const WHOLE = 'F'.charCodeAt(0);
const OF_STDERR = 'e'.charCodeAt(0);
const PIECE_BYTES = 65_536;
const POLL_MS = 100;
/** Who is less behind is not behind. */
const FAR_BYTES = 256 * 1024;
/** More than any agent ever kept. */
const MOST_FILES = 8;

/** Ends with the run, with its end so far where it is not followed, or when aborted. */
export function readLog(run: LogRun, options: LogOptions, signal?: AbortSignal): AsyncGenerator<Buffer> {
  return readRun(run, options, new Printer(options), signal);
}

/** All of a run from its beginning, or from there on, to its end, told apart by streams. */
export function readOutput(run: LogRun, from?: LogPosition, signal?: AbortSignal): AsyncGenerator<OutputPiece> {
  return readRun(run, { follow: true, ...(from ? { from } : {}) }, new StreamSplitter(), signal);
}

async function* readRun<T>(
  run: LogRun,
  options: LogOptions & { from?: LogPosition },
  printer: RecordPrinter<T>,
  signal?: AbortSignal,
): AsyncGenerator<T> {
  // Open from here on: wherever a rotation moves them they are the same.
  const files = await openFiles(run.path);
  try {
    const begin = await startOf(files, options);
    let { offset } = begin;
    for (const { handle, size } of files.slice(begin.index)) {
      while (offset < size && !printer.isFull) {
        const piece = await pieceOf(handle, offset, size - offset);
        if (piece.length === 0) break;
        offset += piece.length;
        yield* printer.print(piece);
        if (signal?.aborted) return;
      }
      offset = 0;
    }
    if (options.follow) yield* readOn(run, files.at(-1), printer, signal);
  } finally {
    for (const { handle } of files) await handle.close();
  }
}

/** What comes after the end that the newest file had. */
async function* readOn<T>(
  run: LogRun,
  newest: LogFile | undefined,
  printer: RecordPrinter<T>,
  signal: AbortSignal | undefined,
): AsyncGenerator<T> {
  let file = newest?.handle;
  let offset = newest?.size ?? 0;
  /** Begun when `file` was full. */
  let next: FileHandle | undefined;
  try {
    for (;;) {
      // Asked before reading: what is written after that is read in the next round.
      const over = run.isOver() || signal?.aborted === true;
      if (file === undefined) {
        file = await openIfThere(run.path);
        offset = 0;
      }
      while (file !== undefined && !printer.isFull) {
        const goal = run.skipTo?.();
        const place = goal && (await placeAhead(run.path, file, offset, goal));
        if (place) {
          printer.forget();
          offset = place.offset;
          if (place.handle !== file) {
            await file.close();
            await next?.close();
            file = place.handle;
            next = undefined;
          }
        }
        const piece = await pieceOf(file, offset, PIECE_BYTES);
        if (piece.length > 0) {
          offset += piece.length;
          yield* printer.print(piece);
          if (signal?.aborted) return;
          continue;
        }
        if (next !== undefined) {
          await file.close();
          file = next;
          next = undefined;
          offset = 0;
          continue;
        }
        // What was written to this one before the next was begun is read first.
        next = await fileAfter(file, run.path);
        if (next === undefined) break;
      }
      if (over || printer.isFull) return;
      await (run.more?.() ?? sleep(POLL_MS, undefined, signal ? { signal } : {}).catch(() => {}));
    }
  } finally {
    await file?.close();
    await next?.close();
  }
}

/** The first record at the goal, if that is far ahead and in the newest file. */
async function placeAhead(
  path: string,
  file: FileHandle,
  offset: number,
  goal: LogPosition,
): Promise<{ handle: FileHandle; offset: number } | undefined> {
  const isHere = (await file.stat()).ino === goal.inode;
  if (isHere && goal.offset - offset < FAR_BYTES) return undefined;
  const handle = isHere ? file : await openIfThere(path);
  const isThere = handle !== undefined && (await handle.stat()).ino === goal.inode;
  const record = isThere ? await recordFrom(handle, goal.offset) : undefined;
  if (handle !== undefined && record !== undefined) return { handle, offset: record };
  if (!isHere) await handle?.close();
  return undefined;
}

/** Where the first record begins that does so there or behind; undefined while that is not certain. */
async function recordFrom(file: FileHandle, offset: number): Promise<number | undefined> {
  if (offset === 0) return 0;
  const end = (await pieceOf(file, offset - 1, PIECE_BYTES)).indexOf(NEWLINE);
  return end < 0 ? undefined : offset + end;
}

async function pieceOf(file: FileHandle, offset: number, most: number): Promise<Buffer> {
  const piece = Buffer.allocUnsafe(PIECE_BYTES);
  const { bytesRead } = await file.read(piece, 0, Math.min(PIECE_BYTES, most), offset);
  return piece.subarray(0, bytesRead);
}

interface LogFile {
  handle: FileHandle;
  inode: number;
  size: number;
  modifiedAtMs: number;
}

/**
 * From old to new. Looked at from new to old, the way that a rotation moves them, so that none is missed; one that is
 * met twice stands where it was met last, since newer ones may have come before it. The caller closes them.
 */
async function openFiles(path: string): Promise<LogFile[]> {
  const out: LogFile[] = [];
  for (let i = 0; i < MOST_FILES; i++) {
    const handle = await openIfThere(i === 0 ? path : `${path}.${i}`);
    if (!handle) continue;
    const { ino, size, mtimeMs } = await handle.stat();
    const before = out.findIndex(({ inode }) => inode === ino);
    if (before >= 0) for (const moved of out.splice(before, 1)) await moved.handle.close();
    out.unshift({ handle, inode: ino, size, modifiedAtMs: mtimeMs });
  }
  return out;
}

/** What a container put in the place of its log, as a pipe or a link, is not read. */
async function openIfThere(path: string): Promise<FileHandle | undefined> {
  const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = constants;
  return open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK).catch(() => undefined);
}

/** The file that was begun when this one was full; nothing while this is the newest. */
async function fileAfter(file: FileHandle, path: string): Promise<FileHandle | undefined> {
  const { ino } = await file.stat();
  // Of a newest one that is still the same nothing has to be opened.
  if ((await stat(path).catch(() => undefined))?.ino === ino) return undefined;
  const files = await openFiles(path);
  // Rotated away while it was read: what is left begins with the oldest. Removed with its pod: nothing is.
  const next = files[files.findIndex((each) => each.inode === ino) + 1];
  for (const { handle } of files) if (handle !== next?.handle) await handle.close();
  return next?.handle;
}

/** Where reading begins. */
async function startOf(
  files: readonly LogFile[],
  options: LogOptions & { from?: LogPosition },
): Promise<{ index: number; offset: number }> {
  const { from } = options;
  if (from) {
    const index = files.findIndex(({ inode }) => inode === from.inode);
    return index < 0 ? { index: 0, offset: 0 } : { index, offset: from.offset };
  }
  const since = options.since?.getTime() ?? 0;
  let oldest = files.findIndex((file) => file.modifiedAtMs >= since);
  if (oldest < 0) oldest = Math.max(0, files.length - 1);
  if (options.tailLines === undefined) return { index: oldest, offset: 0 };
  let missing = options.tailLines;
  for (let index = files.length - 1; index >= oldest; index--) {
    const found = await lastLines(files[index] as LogFile, missing, index === files.length - 1);
    if (found.offset !== undefined) return { index, offset: found.offset };
    missing -= found.lines;
  }
  return { index: oldest, offset: 0 };
}

/**
 * Where the last lines of a file begin, or how many it has where those are fewer. A part at the end of the newest file
 * is a line; at the end of an older one it belongs to the line that the next file goes on with.
 */
async function lastLines(
  { handle, size }: LogFile,
  wanted: number,
  isNewest: boolean,
): Promise<{ offset?: number; lines: number }> {
  let lines = 0;
  let end = size;
  // What belongs to a record whose beginning was not read yet.
  let rest: Buffer = Buffer.alloc(0);
  while (end > 0) {
    const from = Math.max(0, end - PIECE_BYTES);
    const piece = Buffer.allocUnsafe(end - from);
    const { bytesRead } = await handle.read(piece, 0, piece.length, from);
    if (bytesRead < piece.length) return { lines };
    const text = Buffer.concat([piece, rest]);
    let stop = text.length;
    for (;;) {
      const begin = stop > 0 ? text.lastIndexOf(NEWLINE, stop - 2) + 1 : 0;
      if (begin === 0 && from > 0) break;
      if (stop === 0) break;
      // A line ends with its last part; the one before ends where that begins.
      const isLast = isNewest && from + stop === size;
      if (text[begin + TAG_AT] === WHOLE || isLast) {
        if (lines === wanted) return { offset: from + stop, lines };
        lines++;
      }
      stop = begin;
    }
    rest = Buffer.from(text.subarray(0, stop));
    end = from;
  }
  return { lines };
}

/** From pieces of files to what is made of their records. */
interface RecordPrinter<T> {
  /** Nothing more is wanted. */
  readonly isFull: boolean;
  print(piece: Buffer): T[];
  /** The next piece begins with a record. */
  forget(): void;
}

class RecordSplitter {
  /** The beginning of a record that goes on in the next piece. */
  #rest: Buffer = Buffer.alloc(0);

  /** Records are whole, with their newline; what is none is passed over. */
  split(piece: Buffer, take: (record: Buffer) => void): void {
    const text = this.#rest.length > 0 ? Buffer.concat([this.#rest, piece]) : piece;
    let at = 0;
    for (let end = text.indexOf(NEWLINE); end >= 0; end = text.indexOf(NEWLINE, at)) {
      if (end - at >= TEXT_AT) take(text.subarray(at, end + 1));
      at = end + 1;
    }
    this.#rest = Buffer.from(text.subarray(at));
  }

  forget(): void {
    this.#rest = Buffer.alloc(0);
  }
}

/** The part of a line that is not its last has no newline of its own. */
function textOf(record: Buffer): Buffer {
  return record.subarray(TEXT_AT, record[TAG_AT] === WHOLE ? record.length : record.length - 1);
}

class StreamSplitter implements RecordPrinter<OutputPiece> {
  readonly isFull = false;
  readonly #records = new RecordSplitter();

  print(piece: Buffer): OutputPiece[] {
    const out: { stream: OutputPiece['stream']; parts: Buffer[] }[] = [];
    this.#records.split(piece, (record) => {
      const stream = record[STREAM_AT] === OF_STDERR ? 'stderr' : 'stdout';
      const last = out.at(-1);
      if (last?.stream === stream) last.parts.push(textOf(record));
      else out.push({ stream, parts: [textOf(record)] });
    });
    return out.map(({ stream, parts }) => ({ stream, text: Buffer.concat(parts) }));
  }

  forget(): void {
    this.#records.forget();
  }
}

/** As `kubectl logs` shows it. */
class Printer implements RecordPrinter<Buffer> {
  readonly #since: string;
  readonly #timestamps: boolean;
  readonly #records = new RecordSplitter();
  #left: number;
  #inLine = false;

  constructor({ since, timestamps = false, limitBytes = Number.POSITIVE_INFINITY }: LogOptions) {
    this.#since = since ? since.toISOString().slice(0, DATE_CHARACTERS) : '';
    this.#timestamps = timestamps;
    this.#left = limitBytes;
  }

  get isFull(): boolean {
    return this.#left <= 0;
  }

  print(piece: Buffer): Buffer[] {
    const parts: Buffer[] = [];
    this.#records.split(piece, (record) => this.#add(parts, record));
    const out = Buffer.concat(parts);
    const kept = out.length > this.#left ? out.subarray(0, this.#left) : out;
    this.#left -= kept.length;
    return kept.length > 0 ? [kept] : [];
  }

  forget(): void {
    this.#records.forget();
  }

  #add(parts: Buffer[], record: Buffer): void {
    if (this.#since !== '' && record.toString('latin1', 0, DATE_CHARACTERS) < this.#since) return;
    if (this.#timestamps && !this.#inLine) parts.push(record.subarray(0, TIME_CHARACTERS + 1));
    this.#inLine = record[TAG_AT] !== WHOLE;
    parts.push(textOf(record));
  }
}
