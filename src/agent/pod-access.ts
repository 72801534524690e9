/**
 * What the node server may do with the pods of this host: know their state, read their logs, enter their containers.
 * The agent's pods fulfil it, and in tests plain processes do.
 */
import type { PodStatus } from 'kubernetes-types/core/v1.js';

/** What of a container's log is wanted (core/v1 PodLogOptions). */
export interface LogRequest {
  namespace: string;
  pod: string;
  container: string;
  /** Of the run before this one. */
  previous: boolean;
  follow: boolean;
  timestamps: boolean;
  tailLines?: number;
  sinceSeconds?: number;
  sinceTime?: Date;
  limitBytes?: number;
}

/** How a command is started in a container: behind `prefix`, with this environment alone. */
export interface ContainerEntry {
  prefix: readonly string[];
  env: Readonly<Record<string, string>>;
}

export interface PodAccess {
  /** Undefined where no such pod is on this host. */
  status(namespace: string, pod: string): PodStatus | undefined;
  /** Undefined where none of its processes runs. */
  enter(namespace: string, pod: string, container: string): ContainerEntry | undefined;
  /** Ends when all is told, with `follow` when the container has ended or the signal is given. */
  readLog(request: LogRequest, signal: AbortSignal): AsyncIterable<Buffer>;
}
