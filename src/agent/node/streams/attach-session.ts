/**
 * A client that attaches to a container's main command: what that says is sent to it until the command ends, what it
 * types reaches the command, where that reads any. First comes what was said while nobody was attached, of a command
 * that reads nothing all of its run: Kubernetes sends what comes from now on, and then `kubectl run` would lose what was
 * said before it came. A client that goes leaves the command as it is.
 */
import { once } from 'node:events';
import type { Readable, Writable } from 'node:stream';
import type { Attachment } from '../../pods/container-attachment.ts';
import { exitStatus, failureStatus, type RemoteOptions, type RemoteStreams, readSizes } from './remote-streams.ts';

/** Ctrl-C, as a client sends it whose terminal leaves it to the other side. */
const INTERRUPT = 0x03;
/** A client whose input has ended, and not the command's, is let go when nothing was said for so long. */
const QUIET_MS = 1000;

export interface AttachParts {
  attachment: Attachment;
  options: RemoteOptions;
  streams: RemoteStreams;
  /** Something was read or written. */
  onActivity(): void;
}

/**
 * Never throws: what goes wrong is what the client is told. However the container ends, the end of its output is a
 * success, as in Kubernetes: `kubectl run` takes the exit code from the pod, and anything else for a reason to show the
 * whole log once more.
 */
export async function attachClient({ attachment, options, streams, onActivity }: AttachParts): Promise<void> {
  const { stdin, stdout, stderr, resize } = streams;
  const { isTerminal } = attachment;
  const stop = new AbortController();
  const end = () => stop.abort();
  streams.onClose(end);
  for (const to of [stdout, stderr]) to?.once('close', end);
  if (resize && isTerminal) readSizes(resize, (size) => attachment.resize(size));
  else resize?.resume();
  const quiet = new QuietTimer(end);
  if (stdin)
    takeInput(stdin, attachment, { onActivity, onEnd: () => quiet.begin(), interrupt: options.tty ? end : undefined });
  try {
    for await (const { stream, text } of attachment.output(stop.signal)) {
      quiet.pause();
      onActivity();
      const to = stream === 'stderr' && !options.tty ? stderr : stdout;
      if (to) await give(to, options.tty && !isTerminal ? asOnTerminal(text) : text, stop.signal);
      quiet.resume();
      if (stop.signal.aborted) break;
    }
    await streams.finish(exitStatus(0));
  } catch (error) {
    await streams.finish(failureStatus(error instanceof Error ? error.message : String(error)));
  } finally {
    quiet.pause();
  }
}

interface InputListener {
  onActivity(): void;
  /** There is no more of it, and the command goes on reading. */
  onEnd(): void;
  /** Ctrl-C where nobody reads it. */
  interrupt: (() => void) | undefined;
}

function takeInput(
  stdin: Readable,
  { input, endsInput }: Attachment,
  { onActivity, onEnd, interrupt }: InputListener,
): void {
  stdin.on('data', (typed: Buffer) => {
    onActivity();
    if (!input && typed.includes(INTERRUPT)) interrupt?.();
  });
  if (!input) return;
  stdin.pipe(input);
  if (!endsInput) stdin.once('end', onEnd);
}

/** Once begun, calls when nothing was under way for so long. */
class QuietTimer {
  readonly #call: () => void;
  #hasBegun = false;
  #isPaused = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(call: () => void) {
    this.#call = call;
  }

  begin(): void {
    this.#hasBegun = true;
    if (!this.#isPaused) this.resume();
  }

  pause(): void {
    this.#isPaused = true;
    clearTimeout(this.#timer);
  }

  resume(): void {
    this.#isPaused = false;
    if (this.#hasBegun) this.#timer = setTimeout(this.#call, QUIET_MS);
  }
}

/** Resolves when it takes more, or when nobody wants it any more. */
async function give(to: Writable, bytes: Buffer, signal: AbortSignal): Promise<void> {
  if (!to.write(bytes)) await once(to, 'drain', { signal }).catch(() => {});
}

/** The client's terminal leaves also this to the other side. */
function asOnTerminal(text: Buffer): Buffer {
  return Buffer.from(text.toString('latin1').replaceAll('\n', '\r\n'), 'latin1');
}
