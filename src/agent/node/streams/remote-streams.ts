/**
 * What a command in a pod is connected to on the client's side, whatever protocol carries it (k8s.io/streaming
 * remotecommand): standard streams, the size of the client's window, and at the end one status.
 */
import type { Readable, Writable } from 'node:stream';
import type { WindowSize } from '../../../io/native-addon.ts';

/** What of a command its client wants. */
export interface RemoteOptions {
  stdin: boolean;
  stdout: boolean;
  /** Never with a terminal: all of its output is one stream. */
  stderr: boolean;
  tty: boolean;
}

export interface RemoteStreams {
  readonly stdin: Readable | undefined;
  readonly stdout: Writable | undefined;
  readonly stderr: Writable | undefined;
  /** JSON of window sizes, one after the other. */
  readonly resize: Readable | undefined;
  /** Says how it ended, after all that the streams were given, and closes. Never rejects. */
  finish(status: RemoteStatus): Promise<void>;
  /** Called when the client is gone. */
  onClose(listener: () => void): void;
  /** Writes something that changes nothing: a client that is gone is noticed by it even where nothing is read. */
  ping(): void;
  destroy(): void;
}

/** meta/v1 Status as the protocols from v4 on tell it. */
export interface RemoteStatus {
  metadata: Record<string, never>;
  status: 'Success' | 'Failure';
  message?: string;
  reason?: string;
  details?: { causes: readonly { reason: string; message: string }[] };
}

/** The status of a command that ended with this code. */
export function exitStatus(code: number): RemoteStatus {
  if (code === 0) return { metadata: {}, status: 'Success' };
  return {
    metadata: {},
    status: 'Failure',
    message: `command terminated with non-zero exit code: exit status ${code}`,
    reason: 'NonZeroExitCode',
    details: { causes: [{ reason: 'ExitCode', message: `${code}` }] },
  };
}

/** The status of a command that never ran. */
export function failureStatus(message: string): RemoteStatus {
  return { metadata: {}, status: 'Failure', message, reason: 'InternalError' };
}

const MOST_SIZE_BYTES = 256;

/**
 * Reads window sizes to the end of the stream, of those that come together the last; what is none is passed over. A
 * piece costs no more than one size, whatever it holds.
 */
export function readSizes(stream: Readable, onSize: (size: WindowSize) => void): void {
  let text = '';
  stream.on('data', (chunk: Buffer) => {
    text = (text + chunk.toString('latin1', Math.max(0, chunk.length - MOST_SIZE_BYTES))).slice(-MOST_SIZE_BYTES);
    const end = text.lastIndexOf('}');
    const begin = text.lastIndexOf('{', end);
    const size = end >= 0 && begin >= 0 ? sizeOf(text.slice(begin, end + 1)) : undefined;
    text = text.slice(end + 1);
    if (size) onSize(size);
  });
  stream.on('error', () => {});
}

function sizeOf(json: string): WindowSize | undefined {
  try {
    const { Width: columns, Height: rows } = JSON.parse(json) as { Width?: unknown; Height?: unknown };
    return isLength(columns) && isLength(rows) ? { columns, rows } : undefined;
  } catch {
    return undefined;
  }
}

function isLength(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) >= 1 && (value as number) <= 65_535;
}
