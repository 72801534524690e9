/**
 * Real etcd on loopback, as Debian's etcd-server has it: one member or several, each in a folder of the test's. With TLS,
 * the members' certificates are for the name localhost alone, and clients have to show one of theirs.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { get } from 'node:https';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Test } from 'tap';
import { findTool } from '../../../src/agent/command.ts';
import { Authority } from '../../../src/apiserver/access/authority.ts';

/** For tap's `skip`. */
export const missingEtcd = findTool('etcd') === undefined && 'needs etcd: apt-get install etcd-server';

interface Member {
  name: string;
  client: string;
  peer: string;
  directory: string;
  process: ChildProcess | undefined;
}

/** Of a client, and of the authority that signed the members' too: PEM, and the files that hold it. */
export interface ClientCertificates {
  ca: Buffer;
  certificate: Buffer;
  key: Buffer;
  files: { ca: string; certificate: string; key: string };
}

export class EtcdCluster {
  readonly #members: Member[];
  /** Where it was started with TLS. */
  readonly certificates: ClientCertificates | undefined;
  readonly #tls: readonly string[];

  private constructor(members: Member[], directory: string, certificates: ClientCertificates | undefined) {
    this.#members = members;
    this.certificates = certificates;
    this.#tls = certificates
      ? [
          ...['--client-cert-auth', '--trusted-ca-file', certificates.files.ca],
          ...['--cert-file', join(directory, 'server.pem'), '--key-file', join(directory, 'server.key')],
        ]
      : [];
  }

  /** Ends with the test. */
  static async start(
    t: Pick<Test, 'testdir' | 'teardown'>,
    size: number,
    { tls = false }: { tls?: boolean } = {},
  ): Promise<EtcdCluster> {
    const directory = t.testdir();
    const certificates = tls ? await certify(directory) : undefined;
    const ports = await freePorts(size * 2);
    const members = Array.from({ length: size }, (_, i): Member => {
      const name = `member${i}`;
      mkdirSync(join(directory, name));
      return {
        name,
        client: `${tls ? 'https' : 'http'}://127.0.0.1:${ports[i * 2]}`,
        peer: `http://127.0.0.1:${ports[i * 2 + 1]}`,
        directory: join(directory, name),
        process: undefined,
      };
    });
    const cluster = new EtcdCluster(members, directory, certificates);
    t.teardown(() => cluster.stop());
    await Promise.all(members.map((_, i) => cluster.startMember(i)));
    return cluster;
  }

  get endpoints(): string[] {
    return this.#members.map(({ client }) => (this.certificates ? client.replace('127.0.0.1', 'localhost') : client));
  }

  /** Starts a member, for the first time or again; resolves when it is healthy. */
  async startMember(index: number): Promise<void> {
    const member = this.#members[index] as Member;
    const { name, client, peer, directory } = member;
    const log = join(directory, 'log');
    const child = spawn(
      'etcd',
      [
        ...['--name', name, '--data-dir', join(directory, 'data'), '--log-outputs', log, '--logger', 'zap'],
        ...['--listen-client-urls', client, '--advertise-client-urls', client],
        ...['--listen-peer-urls', peer, '--initial-advertise-peer-urls', peer],
        ...['--initial-cluster', this.#members.map((m) => `${m.name}=${m.peer}`).join(',')],
        ...this.#tls,
        ...['--heartbeat-interval', '50', '--election-timeout', '500'],
      ],
      { stdio: 'ignore', env: { PATH: process.env.PATH, ETCD_UNSUPPORTED_ARCH: process.arch } },
    );
    member.process = child;
    for (let i = 0; i < 300; i++) {
      if (child.exitCode !== null)
        throw new Error(`etcd ended at its start:\n${readFileSync(log, 'utf8').slice(-2000)}`);
      if ((await this.#health(client)) === 'true') return;
      await sleep(100);
    }
    throw new Error(`etcd is not healthy after 30 s:\n${readFileSync(log, 'utf8').slice(-2000)}`);
  }

  async #health(client: string): Promise<string | undefined> {
    try {
      const text = this.certificates
        ? await getSecurely(`${client}/health`, this.certificates)
        : await (await fetch(`${client}/health`)).text();
      return (JSON.parse(text) as { health: string }).health;
    } catch {
      return undefined;
    }
  }

  /** `kill -9`; resolves when it is gone. */
  async killMember(index: number): Promise<void> {
    const member = this.#members[index] as Member;
    const child = member.process;
    member.process = undefined;
    if (!child || child.exitCode !== null) return;
    const gone = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await gone;
  }

  /** Neither answers nor hangs up, until it is woken. */
  freeze(index: number): void {
    this.#members[index]?.process?.kill('SIGSTOP');
  }

  wake(index: number): void {
    this.#members[index]?.process?.kill('SIGCONT');
  }

  async stop(): Promise<void> {
    await Promise.all(this.#members.map((_, i) => this.killMember(i)));
  }
}

async function certify(directory: string): Promise<ClientCertificates> {
  const authority = await Authority.open(join(directory, 'pki'));
  const server = await authority.server(['localhost']);
  const client = await authority.client('weft', []);
  const write = (name: string, text: string): string => {
    writeFileSync(join(directory, name), text, { mode: 0o600 });
    return join(directory, name);
  };
  write('server.pem', server.certificate);
  write('server.key', server.key);
  return {
    ca: Buffer.from(authority.certificate),
    certificate: Buffer.from(client.certificate),
    key: Buffer.from(client.key),
    files: {
      ca: join(directory, 'pki', 'ca.crt'),
      certificate: write('client.pem', client.certificate),
      key: write('client.key', client.key),
    },
  };
}

function getSecurely(url: string, { ca, certificate: cert, key }: ClientCertificates): Promise<string> {
  return new Promise((resolve, reject) => {
    get(url, { ca, cert, key, servername: 'localhost', agent: false }, (answer) => {
      let text = '';
      answer.on('data', (chunk) => {
        text += chunk;
      });
      answer.on('end', () => resolve(text));
    }).on('error', reject);
  });
}

async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from(
      { length: count },
      () =>
        new Promise<ReturnType<typeof createServer>>((resolve) => {
          const server = createServer();
          server.listen(0, '127.0.0.1', () => resolve(server));
        }),
    ),
  );
  const ports = servers.map((server) => (server.address() as { port: number }).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}
