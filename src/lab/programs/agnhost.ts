/**
 * What stands for the image agnhost of the Kubernetes tests (k8s.io/kubernetes test/images/agnhost): the subcommands
 * that networks are tried out with.
 */
import { createSocket } from 'node:dgram';
import { createServer } from 'node:http';
import { createConnection, createServer as createTcpServer } from 'node:net';
import { hostname } from 'node:os';
import { serveNetexec } from '../netexec.ts';
import { FlagError, parseDuration, parseFlags } from './flags.ts';
import { untilTold } from './signals.ts';

/** Resolves with the exit code. Throws FlagError. */
export async function agnhost(args: readonly string[]): Promise<number> {
  const [command = 'pause', ...rest] = args;
  switch (command) {
    case 'netexec':
      return netexec(rest);
    case 'serve-hostname':
      return serveHostname(rest);
    case 'connect':
      return connect(rest);
    case 'liveness':
      return liveness();
    case 'pause': {
      // Something must keep the process: signals alone do not.
      const stay = setInterval(() => {}, 2 ** 30);
      const told = untilTold();
      console.log('Paused');
      await told;
      clearInterval(stay);
      return 0;
    }
    default:
      throw new FlagError(`${command} is not among netexec, serve-hostname, connect, liveness, pause`);
  }
}

async function netexec(args: readonly string[]): Promise<number> {
  const { flags } = parseFlags(args, { 'http-port': 8080, 'udp-port': 8081, 'sctp-port': -1, 'delay-shutdown': 0 });
  const udp = flags['udp-port'];
  let stop = (_exitCode: number): void => {};
  const asked = new Promise<number>((done) => {
    stop = done;
  });
  const told = Promise.race([untilTold().then(() => 0), asked]);
  const close = await serveNetexec({ httpPort: flags['http-port'], ...(udp > 0 ? { udpPort: udp } : {}) }, (code) =>
    stop(code),
  );
  console.log(`Started HTTP server on port ${flags['http-port']}`);
  if (udp > 0) console.log(`Started UDP server on port ${udp}`);
  const exitCode = await told;
  await new Promise((done) => setTimeout(done, flags['delay-shutdown'] * 1000));
  await close();
  return exitCode;
}

async function serveHostname(args: readonly string[]): Promise<number> {
  const { flags } = parseFlags(args, { port: 9376, http: true, tcp: false, udp: false, close: false });
  const name = hostname();
  if (flags.http && !flags.tcp && !flags.udp) {
    const server = createServer((_request, response) => response.end(name));
    server.on('clientError', (_error, socket) => socket.destroy());
    await listening(server, flags.port);
  }
  if (flags.tcp) {
    const server = createTcpServer((socket) => {
      socket.on('error', () => {});
      socket.end(name);
    });
    await listening(server, flags.port);
  }
  if (flags.udp) {
    const socket = createSocket({ type: 'udp6', ipv6Only: false });
    await new Promise<void>((done, fail) => {
      socket.once('error', fail);
      socket.bind(flags.port, done);
    });
    socket.removeAllListeners('error').on('error', () => {});
    socket.on('message', (_message, from) => socket.send(name, from.port, from.address));
  }
  const told = untilTold();
  console.log(`Serving on port ${flags.port}.`);
  await told;
  return 0;
}

function listening(server: ReturnType<typeof createTcpServer>, port: number): Promise<void> {
  return new Promise((done, fail) => {
    server.once('error', fail);
    server.listen({ port }, done);
  });
}

/** Says how a connection failed in one word on standard error: TIMEOUT, REFUSED, DNS, OTHER. */
async function connect(args: readonly string[]): Promise<number> {
  const { flags, words } = parseFlags(args, { timeout: '0s', protocol: 'tcp', 'udp-data': '' });
  const [, host, port] = /^(?:\[?([^\]]*?)\]?):(\d+)$/.exec(words[0] ?? '') ?? [];
  if (host === undefined || port === undefined) throw new FlagError('say where to: connect HOST:PORT');
  const limitMs = parseDuration(flags.timeout) || 60_000;
  const failure =
    flags.protocol === 'udp' ? await askUdp(host, Number(port), limitMs) : await dial(host, Number(port), limitMs);
  if (failure === '') return 0;
  console.error(failure);
  return 1;
}

function dial(host: string, port: number, limitMs: number): Promise<string> {
  return new Promise((done) => {
    const socket = createConnection({ host, port });
    const end = (failure: string): void => {
      clearTimeout(timer);
      socket.destroy();
      done(failure);
    };
    const timer = setTimeout(() => end('TIMEOUT'), limitMs);
    socket.once('connect', () => end(''));
    socket.on('error', (error) => end(failureWord(error)));
  });
}

/** Asks netexec for its name. */
async function askUdp(host: string, port: number, limitMs: number): Promise<string> {
  const { lookup } = await import('node:dns/promises');
  const found = await lookup(host).catch(() => undefined);
  if (!found) return 'DNS';
  return new Promise((done) => {
    const socket = createSocket(found.family === 6 ? 'udp6' : 'udp4');
    const end = (failure: string): void => {
      clearTimeout(timer);
      socket.close();
      done(failure);
    };
    const timer = setTimeout(() => end('TIMEOUT'), limitMs);
    socket.once('error', (error) => end(failureWord(error)));
    socket.once('message', () => end(''));
    socket.connect(port, found.address, () => socket.send('hostname'));
  });
}

function failureWord(error: NodeJS.ErrnoException): string {
  if (error.code === 'ECONNREFUSED') return 'REFUSED';
  if (error.code === 'ETIMEDOUT' || error.code === 'EHOSTUNREACH') return 'TIMEOUT';
  return error.syscall === 'getaddrinfo' ? 'DNS' : 'OTHER';
}

/** Healthy for ten seconds, and then not: for trying liveness probes. */
async function liveness(): Promise<number> {
  const beganAtMs = Date.now();
  const server = createServer((request, response) => {
    const seconds = (Date.now() - beganAtMs) / 1000;
    const healthy = request.url !== '/healthz' || seconds <= 10;
    response.statusCode = healthy ? 200 : 500;
    response.end(
      healthy ? (request.url === '/healthz' ? 'ok' : new Date(beganAtMs).toISOString()) : `error: ${seconds}`,
    );
  });
  server.on('clientError', (_error, socket) => socket.destroy());
  await listening(server, 8080);
  await untilTold();
  return 0;
}
