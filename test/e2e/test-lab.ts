/**
 * A lab for tests, in namespaces of its own, with the rights of whoever runs the test: root, or an ordinary user in a
 * user namespace. Everything it makes is gone when the test file ends, whatever happens in between.
 */
import { spawn } from 'node:child_process';
import { chmodSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { findTool } from '../../src/agent/command.ts';
import { takeDown } from '../../src/lab/down.ts';
import { labEntry, targetEntry } from '../../src/lab/exec.ts';
import { type LabDir, listLabs } from '../../src/lab/lab-dir.ts';
import { type LabStatus, readLab } from '../../src/lab/lab-status.ts';
import { checkMachine } from '../../src/lab/preflight.ts';
import { mustRun, type RunOptions, type RunResult, run } from '../../src/lab/run.ts';
import type { Topology } from '../../src/lab/topology.ts';
import { bringUp, type UpRequest } from '../../src/lab/up.ts';
import { weftCommand } from '../../src/lab/weft-command.ts';

/** Why no lab can be had here, or false. */
export function noLab(): string | false {
  try {
    checkMachine();
    return false;
  } catch (error) {
    return (error as Error).message;
  }
}

/** For a test that needs a program: why it is skipped, or false. */
export function without(...tools: string[]): string | false {
  const missing = tools.filter((tool) => findTool(tool) === undefined);
  return missing.length === 0 ? false : `${missing.join(', ')} is not installed`;
}

/** A WEFT_HOME of this test file's own. Its labs are taken down at the end. */
export function ownHome(): string {
  const home = mkdtempSync(join(tmpdir(), 'weft-e2e-'));
  chmodSync(home, 0o755);
  process.env.WEFT_HOME = home;
  delete process.env.WEFT_LAB;
  const clean = async (): Promise<void> => {
    for (const lab of listLabs(join(home, 'labs'))) await takeDown(lab);
    rmSync(home, { recursive: true, force: true });
  };
  t.teardown(clean);
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.once(signal, () => void clean().then(() => process.exit(1)));
  }
  return home;
}

/** The command line, as people call it. */
export function weft(args: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  const [file = '', ...first] = weftCommand();
  return run({ file, args: first, env: process.env }, args, { timeoutMs: 120_000, ...options });
}

export class TestLab {
  readonly lab: LabDir;
  readonly topology: Topology;

  private constructor(lab: LabDir) {
    this.lab = lab;
    this.topology = lab.topology() as Topology;
  }

  static async up(request: UpRequest): Promise<TestLab> {
    return new TestLab(await bringUp({ timeoutSeconds: 120, ...request }, (step) => t.comment(step)));
  }

  /** In a host or pod. */
  run(target: string, command: readonly string[], options?: RunOptions): Promise<RunResult> {
    return run(targetEntry(this.lab, target), command, options);
  }
  /** As run(); fails the test unless it ends well. Resolves with what it printed. */
  must(target: string, command: readonly string[], options?: RunOptions): Promise<string> {
    return mustRun(targetEntry(this.lab, target), command, options);
  }
  /** In the namespaces of the lab itself, where its bridge and router are. */
  inside(command: readonly string[], options?: RunOptions): Promise<string> {
    return mustRun(labEntry(this.lab), command, options);
  }
  /** One of our small programs, in a host or pod. */
  async tool<T>(target: string, words: readonly string[], timeoutMs = 60_000): Promise<T> {
    const output = await this.must(target, [...weftCommand(), 'tool', ...words], { timeoutMs });
    return JSON.parse(output.trim().split('\n').at(-1) ?? '') as T;
  }
  /** Puts a manifest into the folder that all agents of the lab watch, or takes it away. */
  manifest(file: string, text: string | undefined): void {
    const path = join(this.lab.manifests, file);
    if (text === undefined) rmSync(path);
    else writeFileSync(path, text);
  }
  status(): Promise<LabStatus> {
    return readLab(this.lab);
  }
  async address(pod: string): Promise<string> {
    const { hosts } = await this.status();
    const found = hosts.flatMap((host) => host.status?.pods ?? []).find((each) => each.name === pod);
    if (found === undefined) throw new Error(`there is no pod ${pod}`);
    return found.address;
  }
  async serviceAddress(name: string): Promise<string> {
    const { hosts } = await this.status();
    return hosts[0]?.status?.services.find((each) => each.name === name)?.clusterIps[0] ?? '';
  }
  /** How many packets a host dropped for a reason. */
  async drops(host: string, reason: string): Promise<number> {
    const { hosts } = await this.status();
    return hosts.find((each) => each.name === host)?.status?.counters.drops[reason] ?? 0;
  }
  /** Starts something in the lab's own namespaces that goes on until the test ends. */
  background(command: readonly string[]): void {
    const entry = labEntry(this.lab);
    const child = spawn(entry.file, [...entry.args, ...command], { stdio: 'ignore', env: entry.env });
    // It ends with its lab.
    child.unref();
  }
}

/** All processes of a lab and their namespaces, as they are now: what() says later which of them are there still. */
export class Traces {
  readonly #processes: ReadonlySet<number>;
  readonly #namespaces: ReadonlySet<string>;

  constructor(lab: LabDir) {
    const first = lab.holder()?.holder.pid ?? 0;
    // Process 1 of its process namespace inherits whoever loses a parent.
    const below = new Map<number, number[]>();
    for (const pid of processes()) {
      const parent = parentOf(pid);
      if (parent !== undefined) below.set(parent, [...(below.get(parent) ?? []), pid]);
    }
    const found = [first];
    for (const pid of found) found.push(...(below.get(pid) ?? []));
    const ours = new Set(namespacesOf('self'));
    this.#processes = new Set(found);
    this.#namespaces = new Set(found.flatMap((pid) => namespacesOf(`${pid}`)).filter((each) => !ours.has(each)));
  }

  get counts(): { processes: number; networks: number } {
    const networks = [...this.#namespaces].filter((each) => each.startsWith('net:')).length;
    return { processes: this.#processes.size, networks };
  }

  what(): string[] {
    return processes().flatMap((pid) => {
      const kept = namespacesOf(`${pid}`).filter((each) => this.#namespaces.has(each));
      return this.#processes.has(pid) || kept.length > 0 ? [`process ${pid} ${kept.join(' ')}`] : [];
    });
  }
}

function processes(): number[] {
  return readdirSync('/proc').map(Number).filter(Number.isInteger);
}

function parentOf(pid: number): number | undefined {
  try {
    return Number(/^PPid:\s*(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1]);
  } catch {
    return undefined;
  }
}

/** Those that may be seen, as in `net:[4026531840]`. */
function namespacesOf(process: string): string[] {
  return ['net', 'pid', 'mnt', 'uts', 'user'].flatMap((kind) => {
    try {
      return [readlinkSync(`/proc/${process}/ns/${kind}`)];
    } catch {
      return [];
    }
  });
}

/** Polls until a test holds; fails with what was waited for, and with what the test says instead of true. */
export async function until(what: string, timeoutMs: number, holds: () => Promise<boolean | string>): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    const state = await holds();
    if (state === true) return;
    if (Date.now() > deadline) throw new Error(`waited ${timeoutMs} ms until ${what}${state ? `: ${state}` : ''}`);
    await sleep(50);
  }
}
