/**
 * Health checks of services with externalTrafficPolicy Local: on each service's port an HTTP server tells a load
 * balancer in front of the hosts how many endpoints are here, as kube-proxy does (k8s.io/kubernetes
 * pkg/proxy/healthcheck/service_health.go): 200 or 503, whatever is asked.
 */
import { createServer, type Server } from 'node:http';
import type { HealthCheck } from '../../control/host-services.ts';
import { describeError, errnoOf } from '../agent-error.ts';

/** Whoever asks: a few load balancers, once in a few seconds. */
const MOST_CONNECTIONS = 100;
const REQUEST_MS = 5000;
const HEADER_BYTES = 8192;

interface OpenPort {
  server: Server;
  /** The service's as of the last update. */
  check: HealthCheck;
  fault: string;
}

export class HealthPorts {
  readonly #open = new Map<number, OpenPort>();

  /** What is not served and why, as sentences. */
  problems(): readonly string[] {
    return [...this.#open.values()].flatMap(({ fault, check }) =>
      fault ? [`Service ${check.namespace}/${check.name}: spec.healthCheckNodePort: ${fault}`] : [],
    );
  }

  /** Opens, renews and closes; resolves when each port answers or is known not to. */
  async update(checks: readonly HealthCheck[]): Promise<void> {
    const wanted = new Map(checks.map((check) => [check.port, check]));
    for (const [port, { server }] of this.#open) {
      if (wanted.has(port)) continue;
      this.#open.delete(port);
      await closed(server);
    }
    await Promise.all([...wanted.values()].map((check) => this.#keep(check)));
  }

  async close(): Promise<void> {
    await this.update([]);
  }

  async #keep(check: HealthCheck): Promise<void> {
    const known = this.#open.get(check.port);
    if (known) known.check = check;
    if (known && known.fault === '') return;
    const own: OpenPort = known ?? { server: this.#serve(check.port), check, fault: '' };
    this.#open.set(check.port, own);
    own.fault = await listening(own.server, check.port);
  }

  #serve(port: number): Server {
    const options = { requestTimeout: REQUEST_MS, headersTimeout: REQUEST_MS, maxHeaderSize: HEADER_BYTES };
    const server = createServer(options, (_request, response) => {
      const check = this.#open.get(port)?.check;
      const localEndpoints = check?.localEndpoints ?? 0;
      response.writeHead(localEndpoints > 0 ? 200 : 503, {
        'content-type': 'application/json',
        'x-content-type-options': 'nosniff',
        'x-load-balancing-endpoint-weight': `${localEndpoints}`,
        connection: 'close',
      });
      const service = { namespace: check?.namespace ?? '', name: check?.name ?? '' };
      response.end(`${JSON.stringify({ service, localEndpoints })}\n`);
    });
    server.maxConnections = MOST_CONNECTIONS;
    server.on('clientError', (_error, socket) => socket.destroy());
    return server;
  }
}

/** '' when it listens, on all addresses of both families where there are two. */
function listening(server: Server, port: number): Promise<string> {
  return new Promise((done) => {
    const failed = (error: Error): void => {
      const taken = errnoOf(error) === 'EADDRINUSE';
      done(taken ? `port ${port} is in use by a process of this host` : `port ${port}: ${describeError(error)}`);
    };
    server.once('error', failed);
    server.listen({ port, exclusive: true }, () => {
      server.removeListener('error', failed);
      // What happens to one socket later is no reason to end.
      server.on('error', () => {});
      done('');
    });
  });
}

function closed(server: Server): Promise<void> {
  return new Promise((done) => {
    server.close(() => done());
    server.closeAllConnections();
  });
}
