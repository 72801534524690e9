/**
 * A client of a container's main command. What the command says is read from its log, so that nothing is lost that came
 * before the client. What the client types goes to weft_container (native-bindings/src/container_input.h), which holds
 * the command's pipe or terminal, outlives the agent, and tells when there is more to read and from where on:
 *
 *   client ──input──▶ socket ──▶ weft_container ──▶ pipe or terminal ──▶ command
 *          ◀────────── log ◀────────────┴──────────────────────────────────┘
 */
import { once } from 'node:events';
import { constants } from 'node:fs';
import { open, stat } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { basename, dirname } from 'node:path';
import { Writable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Container } from 'kubernetes-types/core/v1.js';
import type { WindowSize } from '../../io/native-addon.ts';
import { AgentError } from '../agent-error.ts';
import { inputKind } from './container-launch.ts';
import { type LogPosition, type LogRun, type OutputPiece, readOutput } from './container-log-reader.ts';

export interface Attachment {
  /** The command has a terminal: its output is made for one. */
  readonly isTerminal: boolean;
  /** Where the client types; undefined: the command reads nothing. Never fails: what nobody reads is dropped. */
  readonly input: Writable | undefined;
  /** The end of what the client types is one for the command. */
  readonly endsInput: boolean;
  resize(size: WindowSize): void;
  /** Joins the command; ends with its run or when the signal is given. To be read once. */
  output(signal: AbortSignal): AsyncIterable<OutputPiece>;
}

export interface AttachedRun extends LogRun {
  /** Path of its weft_container's socket, if it has one. */
  socket: string;
  /** It was begun, and its command does not run yet. */
  isStarting(): boolean;
}

const INPUT = 0;
const END = 1;
const WINDOW = 2;
/** Of an inode and an offset. */
const PLACE_BYTES = 16;
/** A frame's length has two bytes. */
const MOST_FRAME_BYTES = 0xffff;
/** Sizes of windows wait for nothing: behind so much they are dropped. */
const MOST_WAITING_BYTES = 64 * 1024;
/** As kubectl sends them at first, so that what is on the terminal is drawn anew. */
const EARLY_SIZES = 2;
/** Ctrl-C and Ctrl-\, at which a terminal drops what it has not shown yet (termios(3), NOFLSH). */
const INTERRUPTS: readonly number[] = [0x03, 0x1c];
const RETRY_MS = 50;
const ANSWER_MS = 5000;
/** The log is looked at that often, whatever is told. */
const LOOK_MS = 100;

export class ContainerAttachment implements Attachment {
  readonly isTerminal: boolean;
  readonly input: Writable | undefined;
  readonly endsInput: boolean;
  readonly #run: AttachedRun;
  readonly #hasSocket: boolean;
  readonly #joined: Promise<Socket | undefined>;
  #join: (socket: Socket | undefined) => void = () => {};
  #socket: Socket | undefined;
  #early: Buffer[] = [];
  #isNews = false;
  #skipTo: LogPosition | undefined;
  #wake: () => void = () => {};

  /** `withInput`: the client may have something to type. */
  constructor(run: AttachedRun, spec: Container | undefined, withInput: boolean) {
    const kind = spec ? inputKind(spec) : 'none';
    this.#run = run;
    this.#hasSocket = kind !== 'none';
    this.isTerminal = kind === 'terminal';
    this.endsInput = kind === 'once';
    this.#joined = new Promise((resolve) => {
      this.#join = resolve;
    });
    if (withInput && spec?.stdin) this.input = this.#writer();
  }

  async *output(signal: AbortSignal): AsyncGenerator<OutputPiece> {
    try {
      const from = this.#hasSocket ? await this.#open(signal) : undefined;
      const more = this.#socket ? { more: () => this.#more(signal) } : {};
      yield* readOutput({ ...this.#run, ...more, skipTo: () => this.#takeSkip() }, from, signal);
    } finally {
      this.#socket?.destroy();
      this.#join(undefined);
    }
  }

  resize({ columns, rows }: WindowSize): void {
    const size = Buffer.alloc(4);
    size.writeUInt16BE(columns);
    size.writeUInt16BE(rows, 2);
    const bytes = frame(WINDOW, size);
    if (!this.#socket) this.#early = [...this.#early, bytes].slice(-EARLY_SIZES);
    else if (this.#socket.writableLength < MOST_WAITING_BYTES) this.#socket.write(bytes);
  }

  #takeSkip(): LogPosition | undefined {
    const place = this.#skipTo;
    this.#skipTo = undefined;
    return place;
  }

  #writer(): Writable {
    const give = async (bytes: Buffer, done: () => void, isInterrupt = false) => {
      const socket = await this.#joined;
      // Looked at before: what the command says to it is shown.
      const log = isInterrupt ? await stat(this.#run.path).catch(() => undefined) : undefined;
      if (log) this.#skipTo = { inode: log.ino, offset: log.size };
      if (socket?.writable) socket.write(bytes, () => done());
      else done();
    };
    return new Writable({
      highWaterMark: MOST_WAITING_BYTES,
      write: (bytes: Buffer, _, done) => {
        const frames: Buffer[] = [];
        for (let at = 0; at < bytes.length; at += MOST_FRAME_BYTES) {
          frames.push(frame(INPUT, bytes.subarray(at, at + MOST_FRAME_BYTES)));
        }
        void give(Buffer.concat(frames), done, this.isTerminal && INTERRUPTS.some((each) => bytes.includes(each)));
      },
      final: (done) => void give(frame(END), done),
    });
  }

  /** Resolves with where to read from; of a run that has ended, or takes nobody, that is its beginning. */
  async #open(signal: AbortSignal): Promise<LogPosition | undefined> {
    let socket: Socket | undefined;
    while (!socket) {
      // Asked before: one that runs has its socket.
      const isStarting = this.#run.isStarting();
      socket = await connectTo(this.#run.socket).catch(() => undefined);
      if (socket || !isStarting || signal.aborted) break;
      await sleep(RETRY_MS);
    }
    if (!socket) return undefined;
    this.#socket = socket;
    const from = await this.#place(socket, signal);
    // Also an empty one says that there is somebody who types.
    if (this.input) socket.write(frame(INPUT));
    for (const size of this.#early) socket.write(size);
    this.#join(socket);
    return from;
  }

  /** Where the log goes on, the first thing that is told; all later ones are that it does. */
  async #place(socket: Socket, signal: AbortSignal): Promise<LogPosition> {
    let told = Buffer.alloc(0);
    socket.on('error', () => {});
    socket.on('data', (bytes: Buffer) => {
      if (told.length < PLACE_BYTES) told = Buffer.concat([told, bytes]);
      this.#ring();
    });
    socket.once('close', () => this.#ring());
    const patience = AbortSignal.any([signal, AbortSignal.timeout(ANSWER_MS)]);
    while (told.length < PLACE_BYTES && !socket.destroyed && !patience.aborted) await this.#more(patience);
    if (told.length >= PLACE_BYTES) {
      return { inode: Number(told.readBigUInt64BE()), offset: Number(told.readBigUInt64BE(8)) };
    }
    throw new AgentError('not-attached', 'the container takes no more clients now');
  }

  #ring(): void {
    this.#isNews = true;
    this.#wake();
  }

  /** Resolves when something was told since the last time, and after a moment anyway. */
  async #more(signal: AbortSignal): Promise<void> {
    if (!this.#isNews && !signal.aborted) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, LOOK_MS);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
        signal.addEventListener('abort', this.#wake, { once: true });
      });
      signal.removeEventListener('abort', this.#wake);
    }
    this.#isNews = false;
  }
}

function frame(kind: number, bytes: Buffer = Buffer.alloc(0)): Buffer {
  const header = Buffer.from([kind, bytes.length >> 8, bytes.length & 0xff]);
  return Buffer.concat([header, bytes]);
}

/** By its folder: an address takes 107 bytes, a path more. Rejects where nobody listens. */
async function connectTo(path: string): Promise<Socket> {
  const folder = await open(dirname(path), constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    const socket = connect(`/proc/self/fd/${folder.fd}/${basename(path)}`);
    await once(socket, 'connect');
    return socket;
  } finally {
    await folder.close();
  }
}
