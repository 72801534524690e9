/**
 * The proxy port of one TCP service port: accepts what the dataplane redirects here, dials an endpoint, moves on from
 * those that do not answer, and joins the two. Every client is served by itself: nobody waits for another's dial.
 * Clients whose service has no endpoint that answers are reset. Connections outlive the port and their endpoint's
 * listing; they end with their peers.
 */
import { createServer, type Server, type Socket } from 'node:net';
import { dialTimeoutMs, triesAgain } from './attempts.ts';
import type { Bound } from './bound.ts';
import { dial, SOCKET_OPTIONS } from './dial.ts';
import { type Choice, EndpointPicker, type PickerOptions, type Target } from './endpoint-picker.ts';
import type { ProxyCounts, ProxyPort } from './proxy-port.ts';
import { splice } from './splice.ts';

const BACKLOG = 4096;

export class TcpProxy implements ProxyPort {
  readonly picker: EndpointPicker;
  readonly #server: Server;
  readonly #bound: Bound;
  readonly #open = new Set<Socket>();
  readonly #counts: ProxyCounts = { accepted: 0, active: 0, moved: 0, failed: 0, limited: 0 };

  constructor(options: PickerOptions, bound: Bound) {
    this.picker = new EndpointPicker(options);
    this.#bound = bound;
    this.#server = createServer({ ...SOCKET_OPTIONS, pauseOnConnect: true }, (client) => this.#accept(client));
  }

  /** Rejects with the system's error where the port cannot be had. Resolves with the port. */
  listen(address: string, port: number): Promise<number> {
    return new Promise((done, fail) => {
      this.#server.once('error', fail);
      this.#server.listen({ host: address, port, backlog: BACKLOG }, () => {
        this.#server.off('error', fail);
        // What accept() may say later (no descriptor left) concerns one client, who is told by the kernel.
        this.#server.on('error', () => this.#counts.failed++);
        done((this.#server.address() as { port: number }).port);
      });
    });
  }

  update(targets: readonly Target[]): void {
    this.picker.update(targets);
  }

  counts(): ProxyCounts {
    return { ...this.#counts };
  }

  /** No new connections; those that are go on. */
  close(): void {
    this.#server.close();
  }

  abort(): void {
    this.close();
    for (const socket of this.#open) socket.resetAndDestroy();
  }

  #accept(client: Socket): void {
    client.on('error', () => {
      // Its end is seen by whoever uses it next.
    });
    if (!this.#bound.take()) {
      this.#counts.limited++;
      client.resetAndDestroy();
      return;
    }
    this.#counts.accepted++;
    this.#counts.active++;
    this.#open.add(client);
    const done = (): void => {
      this.#open.delete(client);
      this.#counts.active--;
      this.#bound.release();
    };
    this.#reach(client).then((found) => {
      if (found === undefined) {
        client.resetAndDestroy();
        return done();
      }
      const { choice, backend } = found;
      this.#open.add(backend);
      choice.counts.active++;
      splice(client, backend, () => {
        this.#open.delete(backend);
        choice.counts.active--;
        done();
      });
    }, done);
  }

  /** The first endpoint that answers. */
  async #reach(client: Socket): Promise<{ choice: Choice; backend: Socket } | undefined> {
    let choice = this.picker.first(client.remoteAddress ?? '');
    for (let made = 0; choice !== undefined && !client.destroyed; ) {
      choice.counts.connections++;
      const answer = await dial(choice.target, dialTimeoutMs(made));
      if ('socket' in answer) return { choice, backend: answer.socket };
      choice.counts.failures++;
      made++;
      const after = this.picker.next(choice);
      if (!triesAgain(made, answer.silent, this.picker.size)) break;
      this.#counts.moved++;
      choice = after;
    }
    if (!client.destroyed) this.#counts.failed++;
    return undefined;
  }
}
