/** How a lab is: what its holder wrote down, and what each of its agents says of itself over its socket. */
import { agentStatus } from '../agent/client.ts';
import type { AgentStatus } from '../agent/status.ts';
import { applierStateFile, readApplierState } from '../apiserver/manifests/applier-state.ts';
import type { Problem } from '../kube/problem.ts';
import { outerUrl } from './lab-api-server.ts';
import type { KeptState, LabDir } from './lab-dir.ts';
import type { LabApi, Topology } from './topology.ts';

export interface HostStatus {
  name: string;
  address: string;
  address6?: string;
  podCidr: string;
  podCidr6?: string;
  /** How often its agent was started. */
  starts: number;
  /** The agent's process, by its number inside the lab. */
  agentPid: number | undefined;
  lastEnd: string | undefined;
  /** Absent while the agent does not answer. */
  status: AgentStatus | undefined;
}

export interface LabApiStatus {
  /** From outside of the lab. */
  url: string;
  /** Its process, by its number inside the lab; absent between two lives. */
  pid?: number;
  starts: number;
  lastEnd?: string;
  /** With the manifests that it applies. */
  problems: readonly Problem[];
}

export interface LabStatus {
  name: string;
  directory: string;
  up: boolean;
  rootless: boolean;
  topology: Topology | undefined;
  hosts: HostStatus[];
  /** Absent where agents read the manifests themselves. */
  apiServer?: LabApiStatus;
}

/** One that answers later is stopped, or as good as that. */
const ANSWER_MS = 2000;

/** Asks all agents at once; one that does not answer soon has no status. */
export async function readLab(lab: LabDir): Promise<LabStatus> {
  const topology = lab.topology();
  const state = lab.state();
  const holder = lab.holder();
  const hosts = (topology?.hosts ?? []).map(async (host): Promise<HostStatus> => {
    const entry = state?.hosts[host.name];
    const asks = holder !== undefined && entry?.agent !== undefined;
    return {
      ...host,
      starts: entry?.starts ?? 0,
      agentPid: holder === undefined ? undefined : entry?.agent,
      lastEnd: entry?.lastEnd,
      status: asks ? await statusWithin(lab.agentSocket(host.name), ANSWER_MS) : undefined,
    };
  });
  return {
    name: lab.name,
    directory: lab.path,
    up: holder !== undefined,
    rootless: holder?.rootless ?? false,
    topology,
    hosts: await Promise.all(hosts),
    ...(topology?.api ? { apiServer: apiServerStatus(lab, topology.api, state?.apiServer) } : {}),
  };
}

function statusWithin(socketPath: string, timeoutMs: number): Promise<AgentStatus | undefined> {
  return agentStatus(socketPath, { timeoutMs }).catch(() => undefined);
}

function apiServerStatus(lab: LabDir, { outerPort }: LabApi, kept: KeptState = { starts: 0 }): LabApiStatus {
  const problems = readApplierState(applierStateFile(lab.apiServerDir))?.problems ?? [];
  return { url: outerUrl(outerPort), ...kept, problems };
}
