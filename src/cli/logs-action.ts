/** `weft logs`: what a container of a pod said, by the API server from whichever node it runs on. */
import { pipeline } from 'node:stream/promises';
import { type ClusterOptions, openCluster } from './cluster.ts';

export interface LogsOptions extends ClusterOptions {
  container?: string;
  follow?: boolean;
  tail?: number;
  since?: number;
  previous?: boolean;
  timestamps?: boolean;
}

export async function logs(target: string, options: LogsOptions): Promise<void> {
  const { client, namespace } = openCluster(options);
  const stop = new AbortController();
  process.once('SIGINT', () => stop.abort()).once('SIGTERM', () => stop.abort());
  try {
    const path = `/api/v1/namespaces/${encodeURIComponent(namespace)}/pods/${encodeURIComponent(podName(target))}/log`;
    const { container, follow, tail, since, previous, timestamps } = options;
    const query = { container, follow, tailLines: tail, sinceSeconds: since, previous, timestamps };
    const stream = await client.stream(path, { query, signal: stop.signal });
    await pipeline(stream, process.stdout, { end: false });
  } catch (error) {
    if (!stop.signal.aborted) throw error;
  } finally {
    client.close();
  }
}

/** `web-0`, `pod/web-0`. */
export function podName(target: string): string {
  const [first = '', name, ...more] = target.split('/');
  if (name === undefined) return first;
  if (['pod', 'pods', 'po'].includes(first) && name !== '' && more.length === 0) return name;
  throw new Error(`${target}: write POD, as in web-0, and its namespace by -n`);
}
