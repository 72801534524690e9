/** kubectl port-forward as people use it, against an API server and a node: what every version must do. */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import type { Test } from 'tap';
import { PodLoopback } from '../../../../src/agent/pods/pod-loopback.ts';
import { VIEWERS } from '../../../../src/apiserver/access/access.ts';
import { loadNativeAddon } from '../../../../src/io/native-addon.ts';
import type { Kubectl } from '../../../apiserver/kubectl.ts';
import { StreamCluster } from './stream-cluster.ts';

const BIG_BYTES = 20_000_000;
const CONNECTIONS = 50;

export async function tryForwards(t: Test, kubectls: readonly Kubectl[]): Promise<void> {
  const cluster = await StreamCluster.start(t);
  const viewer = await cluster.userConfig('viewer', [VIEWERS]);
  const echo = await listen(t, '127.0.0.1', (socket) => socket.pipe(socket));
  const sink = await listen(t, '::1', answerDigest);
  const service = { selector: { app: 'web' }, ports: [{ name: 'echo', port: 7, targetPort: echo }] };
  await cluster.create('services', { apiVersion: 'v1', kind: 'Service', metadata: { name: 'web' }, spec: service });
  for (const tool of kubectls) {
    await t.test(`${tool.name} port-forward`, async (t) => {
      const forward = new Forward(t, tool, cluster, ['pod/web', `:${echo}`, `:${sink}`]);
      const [echoPort, sinkPort] = await forward.ports(2);
      const texts = Array.from({ length: CONNECTIONS }, (_, i) => `${i} `.repeat(1000));
      const answers = await Promise.all(texts.map((text) => exchange(echoPort, Buffer.from(text))));
      t.ok(
        answers.every((answer, i) => answer.toString() === texts[i]),
        'each connection is its own',
      );
      const big = randomBytes(BIG_BYTES);
      t.equal(digest(await exchange(echoPort, big)), digest(big), 'both ways at once');
      t.equal((await exchange(sinkPort, big)).toString(), digest(big), 'the end of what a client says is told');
      t.equal(forward.complaints, '');
      await forward.stop();
    });
    await t.test(`${tool.name} port-forward to a service`, async (t) => {
      const forward = new Forward(t, tool, cluster, ['service/web', ':echo']);
      const [port] = await forward.ports(1);
      t.equal((await exchange(port, Buffer.from('hello'))).toString(), 'hello');
      await forward.stop();
    });
    await t.test(`${tool.name} port-forward to a port that nobody serves`, async (t) => {
      const unserved = await unservedPort();
      const forward = new Forward(t, tool, cluster, ['web', `:${unserved}`]);
      const [port] = await forward.ports(1);
      t.equal((await exchange(port, Buffer.from('hello'))).length, 0);
      const where = `port ${unserved} to pod default/web: failed to connect to localhost:${unserved}`;
      await forward.said(
        new RegExp(`error forwarding ${where} inside namespace .*IPv4: dial tcp4 .*connection refused`),
      );
      await forward.stop();
    });
    await t.test(`${tool.name} port-forward of a pod that ends`, async (t) => {
      const forward = new Forward(t, tool, cluster, ['web', `:${echo}`]);
      const [port] = await forward.ports(1);
      t.equal((await exchange(port, Buffer.from('hello'))).length, 5);
      cluster.loopback.close();
      t.equal(await forward.ended, 1);
      t.match(forward.complaints, /lost connection to pod/);
      cluster.loopback = new PodLoopback({ key: 'default/web', netns: '' }, loadNativeAddon());
    });
    await t.test(`${tool.name} port-forward of who may not`, async (t) => {
      const forward = new Forward(t, tool, cluster, ['web', `:${echo}`], viewer);
      t.equal(await forward.ended, 1);
      t.match(forward.complaints, /[Ff]orbidden/);
    });
  }
}

class Forward {
  readonly ended: Promise<number | null>;
  readonly #child: ChildProcessWithoutNullStreams;
  #stdout = '';
  complaints = '';
  #changed = () => {};

  constructor(t: Test, tool: Kubectl, cluster: StreamCluster, words: readonly string[], config = cluster.kubeconfig) {
    const env = { PATH: process.env.PATH, HOME: join(cluster.folder, 'home'), KUBECONFIG: config };
    this.#child = spawn(tool.path, ['port-forward', ...words], { env, timeout: 120_000 });
    this.#child.stdout.on('data', (bytes: Buffer) => {
      this.#stdout += bytes.toString();
      this.#changed();
    });
    this.#child.stderr.on('data', (bytes: Buffer) => {
      this.complaints += bytes.toString();
      this.#changed();
    });
    this.ended = new Promise((done) => this.#child.once('close', done));
    void this.ended.then(() => this.#changed());
    t.teardown(() => this.stop());
  }

  /** On our side, in the order in which they were asked for. */
  async ports(count: number): Promise<[number, number]> {
    const found = () => [...this.#stdout.matchAll(/from 127\.0\.0\.1:(\d+)/g)].map(([, port]) => Number(port));
    await this.#until(() => found().length === count);
    return found() as [number, number];
  }

  async said(wanted: RegExp): Promise<void> {
    await this.#until(() => wanted.test(this.complaints));
  }

  async stop(): Promise<void> {
    this.#child.kill();
    await this.ended;
  }

  async #until(isSo: () => boolean): Promise<void> {
    while (!isSo()) {
      if (this.#child.exitCode !== null) throw new Error(`it ended: ${this.#stdout}${this.complaints}`);
      await new Promise<void>((done) => {
        this.#changed = done;
      });
    }
  }
}

/** On a port that is free; ends with the test. */
async function listen(t: Test, host: string, serve: (socket: Socket) => void): Promise<number> {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => {});
    serve(socket);
  });
  await new Promise<void>((done) => server.listen(0, host, done));
  t.teardown(() => server.close());
  return (server.address() as AddressInfo).port;
}

async function unservedPort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((done) => server.listen(0, '::', done));
  const { port } = server.address() as AddressInfo;
  await new Promise((done) => server.close(done));
  return port;
}

/** Answers when all has come. */
function answerDigest(socket: Socket): void {
  const hash = createHash('sha256');
  socket.on('data', (bytes: Buffer) => hash.update(bytes));
  socket.once('end', () => socket.end(hash.digest('hex')));
}

/** What is answered until the end; '' where the connection breaks. */
function exchange(port: number, say: Buffer): Promise<Buffer> {
  const socket = connect({ host: '127.0.0.1', port, allowHalfOpen: true });
  const pieces: Buffer[] = [];
  socket.on('data', (bytes: Buffer) => pieces.push(bytes));
  socket.on('error', () => {});
  socket.end(say);
  return new Promise((done) => socket.once('close', () => done(Buffer.concat(pieces))));
}

function digest(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}
