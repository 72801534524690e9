/**
 * Two machines for agents, joined by one cable: the engine's own network, where the container runs that
 * docs/labs/compose.md tells people to run, and a network namespace in which an agent runs straight from the checkout.
 * Both read one folder of manifests. What the document says is what is run: its Node, its commands.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { defaultPods } from '../../src/lab/default-pods.ts';
import { mustRun } from '../../src/lab/run.ts';
import { ROOT, readText } from '../house/rooms.ts';

const WEFT = join(ROOT, 'dist/src/cli/main.js');
const ADDRESSES = ['192.168.7.21', '192.168.7.22'];
const PLAIN = 'lab-2';
const READY_MS = 30_000;

/** Waits for its cable, then becomes the agent; what it made is gone with its namespaces. */
const MACHINE = `hostname ${PLAIN} && mount -t tmpfs none /run && ip link set lo up && echo waiting && read -r _ &&
  ip addr add ${ADDRESSES[1]}/24 dev cable && ip link set cable up && exec "$@"`;

export class TwoMachines {
  readonly #env: NodeJS.ProcessEnv;
  /** A process in the engine's network. */
  readonly #engine: number;
  readonly #image: string;
  readonly #folder = mkdtempSync(join(tmpdir(), 'weft-machines-'));
  #second: ChildProcess | undefined;
  #said = '';

  constructor(env: NodeJS.ProcessEnv, engine: number, image: string) {
    this.#env = env;
    this.#engine = engine;
    this.#image = image;
  }

  async up(): Promise<void> {
    const [node = ''] = blocks('yaml');
    const other = node.replace('lab-1', PLAIN).replace('10.244.1.0', '10.244.2.0').replace('.7.21', '.7.22');
    const hosts = ['lab-1', PLAIN].map((name, i) => ({ name, address: ADDRESSES[i] ?? '', podCidr: '' }));
    writeFileSync(join(this.#folder, 'lab.yaml'), [node, other, defaultPods(hosts)].join('---\n'));
    await this.#startSecond();
    // As Docker leaves it on a machine where it was the one to switch forwarding on.
    await this.onFirst(['iptables', '-P', 'FORWARD', 'DROP']);
    for (const command of this.#documented()) await this.onFirst(['sh', '-c', command]);
  }

  /** On the machine with the engine. */
  onFirst(command: readonly string[]): Promise<string> {
    return mustRun({ file: 'nsenter', args: ['-t', `${this.#engine}`, '-n'], env: this.#env }, command);
  }

  onSecond(command: readonly string[]): Promise<string> {
    const args = ['-t', `${this.#second?.pid}`, '-n', '-m', '-u'];
    return mustRun({ file: 'nsenter', args, env: process.env }, command);
  }

  /** In a pod of either machine: that of its own agent's. */
  inPod(pod: string, command: readonly string[]): Promise<string> {
    if (pod.endsWith('-0')) return this.onFirst(['docker', 'exec', 'weft', 'weft', 'exec', pod, '--', ...command]);
    return this.onSecond([process.execPath, WEFT, 'exec', pod, '--', ...command]);
  }

  /** Until neither agent finds anything wrong, as the document has people ask. */
  async untilWell(): Promise<void> {
    const deadline = Date.now() + READY_MS;
    const questions = [
      () => this.onFirst(['docker', 'exec', 'weft', 'weft', 'doctor']),
      () => this.onSecond([process.execPath, WEFT, 'doctor']),
    ];
    for (const ask of questions) {
      for (;;) {
        const wrong = await ask().then(
          () => '',
          (error: Error) => error.message,
        );
        if (wrong === '') break;
        if (Date.now() > deadline) throw new Error(`${wrong}\n${PLAIN}: ${this.#said}`);
        await sleep(500);
      }
    }
  }

  async down(): Promise<void> {
    await this.onFirst(['sh', '-c', 'docker stop weft; docker rm -f weft; iptables -P FORWARD ACCEPT']).catch(() => {});
    if (this.#second?.exitCode === null) {
      const ended = once(this.#second, 'exit');
      this.#second.kill('SIGTERM');
      await ended;
    }
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async #startSecond(): Promise<void> {
    const agent = [process.execPath, WEFT, 'agent', '--node', PLAIN, '--manifests', this.#folder];
    const apart = ['unshare', '--net', '--mount', '--uts', 'sh', '-c', MACHINE, 'sh'];
    // However this test ends, no agent outlives it.
    this.#second = spawn('setpriv', ['--pdeathsig', 'TERM', ...apart, ...agent]);
    const { stdin, stdout, stderr, pid } = this.#second;
    for (const stream of [stdout, stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.#said += text;
      });
    }
    await this.#untilSaid(/waiting/);
    // The engine's end is gone with the other, and both with either namespace.
    await this.onFirst(['sh', '-c', `ip link add cable type veth peer name cable netns ${pid}`]);
    await this.onFirst(['sh', '-c', `ip addr add ${ADDRESSES[0]}/24 dev cable && ip link set cable up`]);
    stdin?.write('\n');
    await this.#untilSaid(/ ready after /);
  }

  async #untilSaid(what: RegExp): Promise<void> {
    const deadline = Date.now() + READY_MS;
    while (!what.test(this.#said)) {
      if (this.#second?.exitCode !== null || Date.now() > deadline) throw new Error(`${PLAIN}: ${this.#said}`);
      await sleep(50);
    }
  }

  /** The document's commands for lab-1, with this test's image and folder. */
  #documented(): string[] {
    const [script = ''] = blocks('sh');
    const commands = script.replaceAll('\\\n', '').split('\n');
    return commands
      .filter((line) => line.startsWith('docker run'))
      .map((line) => line.replace('/srv/weft', this.#folder).replace('weft:latest', this.#image));
  }
}

/** The blocks of code of the document's section, in one language. */
function blocks(language: string): string[] {
  const section = readText('docs/labs/compose.md').split('## A host on another machine\n')[1]?.split('\n## ')[0] ?? '';
  return [...section.matchAll(/^```(\w+)\n([\s\S]*?)^```/gm)]
    .filter(([, found]) => found === language)
    .map(([, , text = '']) => text);
}
