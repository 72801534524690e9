/**
 * A client that attaches to a container's main command: it is sent what that says, from the beginning of its run to its
 * end. Kubernetes sends what comes from now on; then `kubectl run` would lose what was said before it came. What is
 * typed goes nowhere, since main commands read nothing here; Ctrl-C on a terminal lets go of the container.
 */
import { once } from 'node:events';
import type { Writable } from 'node:stream';
import type { OutputPiece } from '../../pods/container-log-reader.ts';
import { exitStatus, failureStatus, type RemoteOptions, type RemoteStreams } from './remote-streams.ts';

/** Ctrl-C, as a client sends it whose terminal leaves it to the other side. */
const INTERRUPT = 0x03;

export interface AttachParts {
  output: AsyncIterable<OutputPiece>;
  options: RemoteOptions;
  streams: RemoteStreams;
  /** Ends the output. */
  stop: AbortController;
  /** Something was read or written. */
  onActivity(): void;
}

/**
 * Never throws: what goes wrong is what the client is told. However the container ends, the end of its output is a
 * success, as in Kubernetes: `kubectl run` takes the exit code from the pod, and anything else for a reason to show the
 * whole log once more.
 */
export async function attachOutput({ output, options, streams, stop, onActivity }: AttachParts): Promise<void> {
  const { stdin, stdout, stderr, resize } = streams;
  const { tty } = options;
  const end = () => stop.abort();
  streams.onClose(end);
  for (const to of [stdout, stderr]) to?.once('close', end);
  resize?.resume();
  stdin?.on('data', (typed: Buffer) => {
    onActivity();
    if (tty && typed.includes(INTERRUPT)) end();
  });
  try {
    for await (const { stream, text } of output) {
      onActivity();
      const to = stream === 'stderr' && !tty ? stderr : stdout;
      if (to) await give(to, tty ? asOnTerminal(text) : text, stop.signal);
      if (stop.signal.aborted) break;
    }
    await streams.finish(exitStatus(0));
  } catch (error) {
    await streams.finish(failureStatus(error instanceof Error ? error.message : String(error)));
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
