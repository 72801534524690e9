/** A server in a pod, for as long as a measurement needs it: ready when it has said its first word. */
import { inNamespace, outputOf, start } from '../command.ts';
import type { Pod } from '../contest.ts';

export interface Listener {
  /** Its standard output, when it has ended by itself or by SIGTERM. */
  end(signal?: 'SIGTERM'): Promise<string>;
  /** Ends it however it stands; for `finally`. Its port is free when this resolves. */
  kill(): Promise<void>;
}

export async function listen(pod: Pod, argv: readonly string[]): Promise<Listener> {
  const command = inNamespace(pod.namespace, argv);
  const process = start(command);
  const output = outputOf(process, command);
  // Whoever waits for its end learns why it failed; nobody may be waiting yet.
  output.catch(() => {});
  const spoke = new Promise<void>((resolve) => process.stdout?.once('data', () => resolve()));
  await Promise.race([spoke, output]);
  return {
    end(signal) {
      if (signal) process.kill(signal);
      return output;
    },
    async kill() {
      process.kill('SIGKILL');
      await output.catch(() => {});
    },
  };
}
