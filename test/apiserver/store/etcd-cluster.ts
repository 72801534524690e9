/** Real etcd on loopback, as Debian's etcd-server has it: one member or several, each in a folder of the test's. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Test } from 'tap';
import { findTool } from '../../../src/agent/command.ts';

/** For tap's `skip`. */
export const missingEtcd = findTool('etcd') === undefined && 'needs etcd: apt-get install etcd-server';

interface Member {
  name: string;
  client: string;
  peer: string;
  directory: string;
  process: ChildProcess | undefined;
}

export class EtcdCluster {
  readonly #members: Member[];

  private constructor(members: Member[]) {
    this.#members = members;
  }

  /** Ends with the test. */
  static async start(t: Pick<Test, 'testdir' | 'teardown'>, size: number): Promise<EtcdCluster> {
    const directory = t.testdir();
    const ports = await freePorts(size * 2);
    const members = Array.from({ length: size }, (_, i): Member => {
      const name = `member${i}`;
      mkdirSync(join(directory, name));
      return {
        name,
        client: `http://127.0.0.1:${ports[i * 2]}`,
        peer: `http://127.0.0.1:${ports[i * 2 + 1]}`,
        directory: join(directory, name),
        process: undefined,
      };
    });
    const cluster = new EtcdCluster(members);
    t.teardown(() => cluster.stop());
    await Promise.all(members.map((_, i) => cluster.startMember(i)));
    return cluster;
  }

  get endpoints(): string[] {
    return this.#members.map(({ client }) => client);
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
        ...['--heartbeat-interval', '50', '--election-timeout', '500'],
      ],
      { stdio: 'ignore', env: { PATH: process.env.PATH, ETCD_UNSUPPORTED_ARCH: process.arch } },
    );
    member.process = child;
    for (let i = 0; i < 300; i++) {
      if (child.exitCode !== null)
        throw new Error(`etcd ended at its start:\n${readFileSync(log, 'utf8').slice(-2000)}`);
      const answer = await fetch(`${client}/health`).catch(() => undefined);
      if (answer?.ok && ((await answer.json()) as { health: string }).health === 'true') return;
      await sleep(100);
    }
    throw new Error(`etcd is not healthy after 30 s:\n${readFileSync(log, 'utf8').slice(-2000)}`);
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

  async stop(): Promise<void> {
    await Promise.all(this.#members.map((_, i) => this.killMember(i)));
  }
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
