/**
 * Where a lab lives on disk, and how to tell a living lab from what a killed one left: one directory per lab, visible
 * inside and outside of its namespaces, holding its topology, its holder's identity, sockets, logs and generated
 * manifests.
 */
import { createHash } from 'node:crypto';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { isRunning, type ProcessId } from '../agent/pods/process-table.ts';
import { LabError } from './lab-error.ts';
import type { EtcdFile, Topology } from './topology.ts';

export interface HolderState {
  /** Process 1 of the lab, by its number outside. */
  holder: ProcessId;
  /** Whether its namespaces belong to a user namespace of its own (a lab without root). */
  rootless: boolean;
}

/** What the holder says about its hosts; process numbers are those inside the lab. */
export interface LabState {
  phase: 'building' | 'running' | 'failed';
  error?: string;
  hosts: Record<string, HostState>;
  apiServer?: KeptState;
  etcd?: KeptState;
}

export interface HostState {
  /** Process that holds the host's namespaces. */
  init: number;
  /** Absent between two lives of the agent. */
  agent?: number;
  starts: number;
  /** How the agent's last life ended: `exit code 1`, `SIGKILL`. */
  lastEnd?: string;
}

/** A process of the lab itself. */
export interface KeptState {
  /** Absent between two lives. */
  pid?: number;
  starts: number;
  lastEnd?: string;
}

/** Longest path a Unix socket may have, with its closing zero: sun_path in linux/un.h is 108 bytes. */
const MAX_SOCKET_PATH = 107;

export function labsDir(env: NodeJS.ProcessEnv = process.env): string {
  if (env['WEFT_HOME']) return join(env['WEFT_HOME'], 'labs');
  if (process.geteuid?.() === 0) return '/var/lib/weft/labs';
  return join(env['XDG_STATE_HOME'] || join(homedir(), '.local', 'state'), 'weft', 'labs');
}

export class LabDir {
  readonly name: string;
  readonly path: string;

  constructor(name: string, parent: string = labsDir()) {
    this.name = name;
    this.path = join(parent, name);
  }

  get topologyFile(): string {
    return join(this.path, 'lab.json');
  }
  get holderFile(): string {
    return join(this.path, 'holder.json');
  }
  get stateFile(): string {
    return join(this.path, 'state.json');
  }
  get holderLog(): string {
    return join(this.path, 'holder.log');
  }
  /** Manifests that the lab itself wrote; its hosts watch this folder. */
  get manifests(): string {
    return join(this.path, 'manifests');
  }
  /** The API server's certificates, and its objects unless they are in etcd. */
  get apiServerDir(): string {
    return join(this.path, 'apiserver');
  }
  get apiServerLog(): string {
    return join(this.path, 'apiserver.log');
  }
  /** The data of an etcd of the lab's own; what leads to one that was there before. */
  get etcdDir(): string {
    return join(this.path, 'etcd');
  }
  etcdFile(name: EtcdFile): string {
    return join(this.etcdDir, `${name}.pem`);
  }
  /** By which a lab reaches an etcd in the machine's network. */
  get tunnelSocket(): string {
    return this.#socket(join(this.etcdDir, 'tunnel.socket'));
  }
  get etcdLog(): string {
    return join(this.path, 'etcd.log');
  }
  /** The administrator's, for whoever is outside of the lab; absent where it has no API server. */
  get kubeconfig(): string {
    return join(this.path, 'kubeconfig');
  }
  /** The same from within. */
  get innerKubeconfig(): string {
    return join(this.path, 'kubeconfig.inside');
  }
  nodeKubeconfig(host: string): string {
    return join(this.host(host), 'kubeconfig');
  }
  /** First on the PATH of hosts and pods: holds `weft`. */
  get bin(): string {
    return join(this.path, 'bin');
  }
  host(name: string): string {
    return join(this.path, 'hosts', name);
  }
  agentLog(host: string): string {
    return join(this.host(host), 'agent.log');
  }
  agentStateDir(host: string): string {
    return join(this.host(host), 'agent');
  }
  resolvConf(host: string): string {
    return join(this.host(host), 'resolv.conf');
  }
  /** Where deep directories would make a path too long for a socket, a short one in the temporary directory. */
  get socketFallback(): string {
    return join(tmpdir(), `weft-${createHash('sha256').update(this.path).digest('hex').slice(0, 12)}`);
  }
  agentSocket(host: string): string {
    return this.#socket(join(this.agentStateDir(host), 'agent.sock'), `${host}.sock`);
  }
  #socket(plain: string, short = basename(plain)): string {
    return Buffer.byteLength(plain) <= MAX_SOCKET_PATH ? plain : join(this.socketFallback, short);
  }

  exists(): boolean {
    return existsSync(this.path);
  }
  topology(): Topology | undefined {
    return readJson<Topology>(this.topologyFile);
  }
  state(): LabState | undefined {
    return readJson<LabState>(this.stateFile);
  }
  /** The holder, if it lives. */
  holder(): HolderState | undefined {
    const state = readJson<HolderState>(this.holderFile);
    return state !== undefined && isRunning(state.holder) ? state : undefined;
  }
  /** Removes the directory and what stands in for it elsewhere. */
  remove(): void {
    rmSync(this.path, { recursive: true, force: true, maxRetries: 5 });
    rmSync(this.socketFallback, { recursive: true, force: true });
  }
}

/** All labs that have a directory, by name. */
export function listLabs(parent: string = labsDir()): LabDir[] {
  if (!existsSync(parent)) return [];
  return readdirSync(parent, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && !entry.name.startsWith('.'))
    .map((entry) => new LabDir(entry.name, parent))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** The lab that is meant: by name, by WEFT_LAB, `default`, or the only one that lives. */
export function findLab(name?: string, parent: string = labsDir()): LabDir {
  const wanted = name ?? process.env['WEFT_LAB'];
  const labs = listLabs(parent);
  const living = labs.filter((lab) => lab.holder() !== undefined);
  if (wanted === undefined) {
    const lab = living.find((each) => each.name === 'default') ?? (living.length === 1 ? living[0] : undefined);
    if (lab !== undefined) return lab;
    if (living.length === 0) throw new LabError('WEFT_LAB_NAME', 'no lab is up: weft lab up');
    const names = living.map((each) => each.name).join(', ');
    throw new LabError('WEFT_LAB_NAME', `several labs are up, say which by --name: ${names}`);
  }
  const lab = labs.find((each) => each.name === wanted);
  if (lab === undefined) {
    const names = labs.map((each) => each.name).join(', ');
    throw new LabError('WEFT_LAB_NAME', `no lab ${wanted}${names ? ` (there is: ${names})` : ': weft lab up'}`);
  }
  if (lab.holder() === undefined) {
    throw new LabError('WEFT_LAB_NAME', `lab ${wanted} is not up, only what it left: weft lab down --name ${wanted}`);
  }
  return lab;
}

export function writeJson(path: string, value: unknown): void {
  const scratch = `${path}.${process.pid}.tmp`;
  writeFileSync(scratch, `${JSON.stringify(value, undefined, 2)}\n`, { mode: 0o600 });
  renameSync(scratch, path);
}

export function makeDir(path: string): void {
  mkdirSync(path, { recursive: true, mode: 0o755 });
}

/** For what others may not put their own into; refused where it is there and somebody else's. */
export function makeOwnDir(path: string): void {
  mkdirSync(path, { recursive: true, mode: 0o700 });
  if (lstatSync(path).uid === process.geteuid?.()) return;
  throw new LabError('WEFT_LAB_SYSTEM', `${path} belongs to another user: remove it, or use a shorter WEFT_HOME`);
}

function readJson<T>(path: string): T | undefined {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as T;
  } catch {
    return undefined;
  }
}
