/**
 * What the node's server may do with the pods of this host: read their logs, join their containers' commands, run others
 * beside them, connect to their ports. The agent's pods fulfil it, and in tests plain processes do.
 */
import type { Attachment } from './container-attachment.ts';
import type { StartCommand } from './container-command.ts';
import type { LogOptions } from './container-log-reader.ts';
import type { PodLoopback } from './pod-loopback.ts';

export interface PodPlace {
  namespace: string;
  pod: string;
}

export interface ContainerPlace extends PodPlace {
  container: string;
}

export interface ContainerLogRequest extends ContainerPlace, LogOptions {
  /** Of the run before the last one. */
  previous?: boolean;
}

export interface PodAccess {
  /** How a command is run beside a container's. Throws AgentError where that does not run. */
  beside(place: ContainerPlace, argv: readonly string[]): StartCommand;
  /**
   * Ends when all is told, with `follow` when the container has ended or the signal is given. Throws AgentError where
   * there is no such log.
   */
  containerLog(request: ContainerLogRequest, signal: AbortSignal): AsyncIterable<Buffer>;
  /** The run under way, or else the last one. Throws AgentError where there was no run yet. */
  attach(place: ContainerPlace, withInput: boolean): Attachment;
  /** Where its servers are. Throws AgentError where the pod does not run. */
  loopback(place: PodPlace): PodLoopback;
}
