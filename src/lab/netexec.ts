/**
 * `weft netexec`: a small server for trying networks out, with the requests that agnhost's netexec of the Kubernetes
 * tests answers: GET /hostname, /clientip, /echo?msg=…&code=…, /header?key=…, /redirect?location=…&code=…, /healthz,
 * /dial?host=…&port=…&protocol=…&request=…&tries=…, /exit?code=…&wait=…, /shutdown; UDP `hostname`, `clientip`,
 * `echo …`. Not /shell and /upload: a pod's file system is the host's. Runs in a lab's pods, so it imports next to
 * nothing and starts fast.
 */
import { createSocket } from 'node:dgram';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { isIPv6 } from 'node:net';
import { hostname } from 'node:os';

export interface NetexecOptions {
  httpPort?: number;
  udpPort?: number;
  /** Address to listen on; every address of both families by default, of IPv4 where there is no IPv6. */
  address?: string;
}

/** Connections that may wait to be accepted; the kernel caps it at net.core.somaxconn. */
const BACKLOG = 4096;

/** Of /exit. */
const LONGEST_WAIT_MS = 3_600_000;

/** Resolves when all ports listen, with a function that closes them and waits for requests in work. */
export async function serveNetexec(
  options: NetexecOptions,
  onShutdown: (exitCode: number) => void,
): Promise<() => Promise<void>> {
  const address = options.address ?? (await anyAddress());
  const closers: (() => Promise<void>)[] = [];
  if (options.httpPort !== undefined) {
    const server = createServer((request, response) => answer(request, response, onShutdown));
    await new Promise<void>((done, fail) => {
      server.once('error', fail);
      server.listen({ port: options.httpPort, host: address, backlog: BACKLOG }, done);
    });
    server.on('clientError', (_error, socket) => socket.destroy());
    closers.push(
      () =>
        new Promise((done) => {
          server.close(() => done());
          server.closeIdleConnections();
        }),
    );
  }
  if (options.udpPort !== undefined) {
    const socket = createSocket(isIPv6(address) ? 'udp6' : 'udp4');
    await new Promise<void>((done, fail) => {
      socket.once('error', fail);
      socket.bind(options.udpPort, address, done);
    });
    // An ICMP error for a reply to somebody who left is no reason to stop.
    socket.removeAllListeners('error').on('error', () => {});
    socket.on('message', (message, from) => {
      socket.send(
        reply(message.toString('utf8').trimEnd(), clientText(from.address, from.port)),
        from.port,
        from.address,
      );
    });
    closers.push(() => new Promise((done) => socket.close(() => done())));
  }
  return async () => {
    await Promise.all(closers.map((close) => close()));
  };
}

/** `::` takes IPv4 too, as mapped addresses. */
async function anyAddress(): Promise<string> {
  const probe = createSocket('udp6');
  const has6 = await new Promise<boolean>((done) => {
    probe.once('error', () => done(false));
    probe.bind(0, '::', () => done(true));
  });
  await new Promise<void>((done) => probe.close(done));
  return has6 ? '::' : '0.0.0.0';
}

/** `10.244.1.5:4711`, `[fd00:10:244:1::105]:4711`. */
function clientText(address = '', port = 0): string {
  const plain = address.replace(/^::ffff:/, '');
  return isIPv6(plain) ? `[${plain}]:${port}` : `${plain}:${port}`;
}

function answer(request: IncomingMessage, response: ServerResponse, onShutdown: (exitCode: number) => void): void {
  const url = new URL(request.url ?? '/', 'http://netexec');
  const query = url.searchParams;
  response.setHeader('content-type', 'text/plain; charset=utf-8');
  switch (url.pathname) {
    case '/':
      return void response.end(`NOW: ${new Date().toISOString()}`);
    case '/hostname':
    case '/hostName':
      return void response.end(hostname());
    case '/clientip':
      return void response.end(clientText(request.socket.remoteAddress, request.socket.remotePort));
    case '/echo': {
      const code = Number(query.get('code') ?? 200);
      response.statusCode = Number.isInteger(code) && code >= 200 && code <= 599 ? code : 400;
      return void response.end(query.get('msg') ?? '');
    }
    case '/healthz':
      return void response.end('ok');
    case '/header':
      return void response.end(`${request.headers[(query.get('key') ?? '').toLowerCase()] ?? ''}`);
    case '/redirect': {
      const code = Number(query.get('code') ?? 302);
      response.statusCode = code >= 300 && code <= 399 && Number.isInteger(code) ? code : 400;
      const location = query.get('location') ?? '';
      if (location && !/[^\x21-\x7e]/.test(location)) response.setHeader('location', location);
      return void response.end();
    }
    case '/dial':
      return void answerDial(query, response);
    case '/exit': {
      const wait = /^(\d+)(m?s)$/.exec(query.get('wait') ?? '0s');
      const ms = wait ? Number(wait[1]) * (wait[2] === 's' ? 1000 : 1) : 0;
      response.end('bye');
      setTimeout(() => onShutdown(Number(query.get('code')) & 0xff), Math.min(ms, LONGEST_WAIT_MS));
      break;
    }
    case '/shutdown':
      response.end('bye');
      onShutdown(0);
      break;
    default:
      response.statusCode = 404;
      return void response.end(`no ${url.pathname} here`);
  }
}

async function answerDial(query: URLSearchParams, response: ServerResponse): Promise<void> {
  const { dial, readDial } = await import('./programs/dial.ts');
  const wanted = readDial(query);
  if (!wanted) {
    response.statusCode = 400;
    return void response.end('say host and port, and protocol http or udp');
  }
  response.setHeader('content-type', 'application/json');
  response.end(JSON.stringify(await dial(wanted)));
}

function reply(request: string, client: string): string {
  const [word = '', ...rest] = request.split(' ');
  if (word.toLowerCase() === 'hostname') return hostname();
  if (word.toLowerCase() === 'clientip') return client;
  if (word.toLowerCase() === 'echo') return rest.join(' ');
  return `no ${word} here`;
}
