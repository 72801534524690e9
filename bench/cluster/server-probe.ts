/**
 * Loaded into the API server's process before it (`node --import`): tells the bench, when it asks, how long the main
 * thread was held up since the last time it asked, and what the process has used.
 */
import { monitorEventLoopDelay } from 'node:perf_hooks';

export interface ServerFigures {
  /** Milliseconds that the event loop came late. */
  readonly delayP50: number;
  readonly delayP99: number;
  readonly delayMost: number;
  readonly rssBytes: number;
  readonly heapBytes: number;
  /** Seconds of processor since the process began. */
  readonly cpuSeconds: number;
  readonly atMs: number;
}

const RESOLUTION_MS = 10;

if (process.send) {
  const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  delay.enable();
  process.on('message', () => {
    const { user, system } = process.cpuUsage();
    const { rss, heapUsed } = process.memoryUsage();
    // The histogram holds the whole interval between two looks.
    const late = (nanoseconds: number) => Math.max(0, nanoseconds / 1e6 - RESOLUTION_MS);
    const figures: ServerFigures = {
      delayP50: late(delay.percentile(50)),
      delayP99: late(delay.percentile(99)),
      delayMost: late(delay.max),
      rssBytes: rss,
      heapBytes: heapUsed,
      cpuSeconds: (user + system) / 1e6,
      atMs: performance.now(),
    };
    delay.reset();
    process.send?.(figures);
  });
  process.channel?.unref();
  // The bench was ended in the middle: nobody else would end the server.
  process.once('disconnect', () => process.kill(process.pid, 'SIGTERM'));
}
