/**
 * Brings a lab up: reads the lab file and the manifests, writes the lab's directory, starts its holder, and returns
 * when every agent is ready and every pod runs. What is wrong with the files is said before anything is made; what
 * fails afterwards is named with the tail of its log, and nothing is left behind.
 */
import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { hasIpv6 } from '../agent/host/host-ipv6.ts';
import type { EtcdTls } from '../apiserver/store/etcd-members.ts';
import type { EtcdStoreOptions } from '../apiserver/store/etcd-store.ts';
import { type ManifestKinds, type ManifestObject, NETWORK_KINDS } from '../kube/manifest.ts';
import { ManifestFolder } from '../kube/manifest-folder.ts';
import { type NamedObject, type Node, objectKey, objectTitle, type Pod } from '../kube/objects.ts';
import { formatProblem, type Problem } from '../kube/problem.ts';
import { defaultPods, nodeManifests } from './default-pods.ts';
import { takeDown } from './down.ts';
import { startHolder } from './holder-process.ts';
import { LabDir, labsDir, makeDir, writeJson } from './lab-dir.ts';
import { LabError } from './lab-error.ts';
import { type LabFile, parseLabFile } from './lab-file.ts';
import { type ListeningSocket, listenOnLoopback } from './listening-socket.ts';
import { checkMachine } from './preflight.ts';
import { type EtcdFile, type GivenEtcd, resolveTopology, type Topology, type TopologyOverrides } from './topology.ts';
import { waitUntilUp } from './wait-until-up.ts';
import { weftScript } from './weft-command.ts';

export interface UpRequest extends TopologyOverrides {
  /** Path of a lab file. */
  file?: string;
  /** Where an API server keeps the objects; none: agents read the manifests themselves. */
  store?: 'lmdb' | 'etcd';
  /** The etcd that `store` means; none: one of the lab's own. */
  etcd?: EtcdStoreOptions;
  /** Leave what failed to come up, for a look. */
  keep?: boolean;
  timeoutSeconds?: number;
}

/** What the lab keeps of the certificates for a given etcd. */
const ETCD_FILES: readonly (readonly [EtcdFile, keyof EtcdTls])[] = [
  ['cafile', 'ca'],
  ['certfile', 'certificate'],
  ['keyfile', 'key'],
];

/** Called with one line per step that is done. */
export type Report = (step: string) => void;

export async function bringUp(request: UpRequest, report: Report): Promise<LabDir> {
  const planned = await plan(request);
  const { store, etcd } = request;
  const { rootless } = checkMachine(store === 'etcd' && etcd === undefined);
  const lab = new LabDir(planned.topology.name);
  refuseLiving(lab);
  const given = etcd && (await givenEtcd(lab, etcd, report));
  const door = store === undefined ? undefined : await listenOnLoopback();
  try {
    const api = door && store ? { api: { store, outerPort: door.port, ...(given ? { etcd: given } : {}) } } : {};
    return await bring(lab, request, { ...planned, topology: { ...planned.topology, ...api } }, rootless, door, report);
  } finally {
    door?.close();
  }
}

function refuseLiving(lab: LabDir): void {
  if (lab.holder() !== undefined) {
    throw new LabError('WEFT_LAB_EXISTS', `lab ${lab.name} is up already: weft lab down --name ${lab.name}`);
  }
}

/** Asks it, too: a lab that could not reach it, or would disturb another there, is not begun. */
async function givenEtcd(lab: LabDir, options: EtcdStoreOptions, report: Report): Promise<GivenEtcd> {
  const { checkGivenEtcd, labPrefix } = await import('./given-etcd.ts');
  const { endpoints: servers, prefix = labPrefix(lab.name), tls = {} } = options;
  await checkGivenEtcd({ ...options, prefix }, report);
  report(`etcd at ${servers.join(', ')} answers; the lab's objects are under ${prefix}`);
  return { servers, prefix, files: ETCD_FILES.flatMap(([file, part]) => (tls[part] ? [file] : [])) };
}

async function bring(
  lab: LabDir,
  request: UpRequest,
  planned: Plan,
  rootless: boolean,
  door: ListeningSocket | undefined,
  report: Report,
): Promise<LabDir> {
  const { topology } = planned;
  await claim(lab, topology, planned.objects, request.etcd?.tls);
  try {
    const holder = startHolder(lab, topology, rootless, door);
    // Else we would go on taking the API server's connections from it.
    door?.close();
    report(`lab ${lab.name}: ${topology.hosts.length} hosts on ${topology.underlay.cidr}, ${topology.backend}`);
    if (topology.api) await (await import('./lab-identities.ts')).issueIdentities(lab, topology);
    await waitUntilUp(lab, planned, holder, report, (request.timeoutSeconds ?? 60) * 1000);
    return lab;
  } catch (error) {
    if (!request.keep) await takeDown(lab);
    throw error;
  }
}

/** What a lab is to be, and what is to run in it before it counts as up. */
export interface Plan {
  topology: Topology;
  /** Keys of pods. */
  pods: readonly string[];
  /** Objects that make pods. */
  workloads: readonly NamedObject[];
  /** What the manifests hold, by title. */
  objects: Objects;
}

type Objects = ReadonlyMap<string, ManifestObject<NamedObject>>;

/** Kinds that make pods. */
const WORKLOADS: ReadonlySet<string> = new Set(['Deployment', 'ReplicaSet', 'StatefulSet']);

/** Reads everything and decides everything; makes nothing. */
export async function plan(request: UpRequest): Promise<Plan> {
  const lab = request.file === undefined ? {} : readLabFile(request.file);
  const { topology, problems } = resolveTopology(lab, { ...request, ipv6: hasIpv6() }, request.file);
  const missing = topology.manifests.filter((path) => !existsSync(path));
  for (const path of missing) {
    problems.push({
      place: request.file ?? '--manifests',
      message: `manifests: there is no ${path}`,
      severity: 'error',
    });
  }
  refuse(problems);
  const objects = await readManifests(topology.manifests, request.store !== undefined);
  const isScheduled = request.store !== undefined;
  return {
    topology: { ...topology, hosts: withNodes(topology, objects) },
    pods:
      topology.manifests.length === 0
        ? topology.hosts.flatMap((_, i) => [`default/web-${i}`, `default/client-${i}`])
        : podsToRun(topology, objects, isScheduled),
    workloads: [...objects.values()].flatMap(({ object }) => (WORKLOADS.has(object.kind) ? [object] : [])),
    objects,
  };
}

function readLabFile(path: string): LabFile {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw new LabError('WEFT_LAB_FILE', `${path} cannot be read: ${(error as NodeJS.ErrnoException).code}`);
  }
  const { lab, problems } = parseLabFile(text, path);
  refuse(problems);
  return lab;
}

function refuse(problems: readonly Problem[]): void {
  const [first, ...more] = problems.filter((problem) => problem.severity === 'error').map(formatProblem);
  if (first !== undefined) throw new LabError('WEFT_LAB_FILE', first, more);
}

/** Of every kind that the lab's API server knows, or of those that the network reads. */
async function readManifests(paths: readonly string[], ofApi: boolean): Promise<Objects> {
  const folder = new ManifestFolder<NamedObject>(paths, ofApi ? await apiKinds() : NETWORK_KINDS);
  try {
    await folder.start();
    refuse(folder.problems());
    return folder.current();
  } finally {
    await folder.close();
  }
}

async function apiKinds(): Promise<ManifestKinds<NamedObject>> {
  const { manifestKinds } = await import('../apiserver/manifests/manifest-kinds.ts');
  const { ResourceTable } = await import('../apiserver/kinds/resource-table.ts');
  return manifestKinds(new ResourceTable());
}

/** A Node object says more of its host than we would make up. */
function withNodes(topology: Topology, objects: Objects): Topology['hosts'] {
  return topology.hosts.map((host) => {
    const node = objects.get(`Node ${host.name}`)?.object as Node | undefined;
    if (node === undefined) return host;
    const written = (node.status?.addresses ?? []).flatMap((each) => (each.type === 'InternalIP' ? each.address : []));
    const ranges = [...(node.spec?.podCIDR ? [node.spec.podCIDR] : []), ...(node.spec?.podCIDRs ?? [])];
    const isSix = (text: string): boolean => text.includes(':');
    const four = written.find((each) => !isSix(each));
    const six = written.find(isSix);
    const podCidr6 = ranges.find(isSix);
    const { podCidr6: _made, ...own } = host;
    return {
      ...own,
      ...(isSix(own.address) ? { address: six ?? own.address } : { address: four ?? own.address }),
      ...(six && !isSix(own.address) ? { address6: six } : {}),
      podCidr: ranges.find((each) => !isSix(each)) ?? own.podCidr,
      ...(podCidr6 ? { podCidr6 } : {}),
    };
  });
}

/** `isScheduled`: a pod that names no host is given one. */
function podsToRun(topology: Topology, objects: Objects, isScheduled: boolean): string[] {
  const hosts = new Set(topology.hosts.map((host) => host.name));
  const pods: string[] = [];
  for (const { object, place } of objects.values()) {
    if (object.kind !== 'Pod') continue;
    const node = (object as Pod).spec.nodeName;
    if (node === undefined ? isScheduled : hosts.has(node)) pods.push(objectKey(object));
    else if (node !== undefined && objects.has(`Node ${node}`)) continue;
    else {
      const names = [...hosts].join(', ');
      const title = objectTitle(object);
      const message = `${title}: spec.nodeName: ${node ?? '(none)'} is no host of the lab (there is: ${names})`;
      throw new LabError('WEFT_LAB_FILE', formatProblem({ place, message, severity: 'error' }));
    }
  }
  return pods;
}

/** Makes the lab's directory whole in one step, so that of two who want the name one gets it. */
async function claim(lab: LabDir, topology: Topology, objects: Objects, tls: EtcdTls = {}): Promise<void> {
  refuseLiving(lab);
  const draft = new LabDir(`.${lab.name}.${process.pid}`);
  makeDir(labsDir());
  draft.remove();
  for (const path of [draft.path, draft.manifests, draft.bin]) makeDir(path);
  writeJson(draft.topologyFile, topology);
  const nodes = topology.hosts.filter((host) => !objects.has(`Node ${host.name}`));
  if (nodes.length > 0) writeFileSync(join(draft.manifests, 'nodes.yaml'), nodeManifests(nodes));
  if (topology.manifests.length === 0) {
    writeFileSync(join(draft.manifests, 'web.yaml'), defaultPods(topology.hosts));
  }
  if (topology.api?.etcd) {
    // Copies: the lab has a /run of its own.
    mkdirSync(draft.etcdDir, { mode: 0o700 });
    for (const [file, part] of ETCD_FILES)
      if (tls[part]) writeFileSync(draft.etcdFile(file), tls[part], { mode: 0o600 });
  }
  writeFileSync(join(draft.bin, 'weft'), weftScript());
  chmodSync(join(draft.bin, 'weft'), 0o755);
  for (let attempt = 0; ; attempt++) {
    try {
      renameSync(draft.path, lab.path);
      return;
    } catch (error) {
      if (attempt > 0 || lab.holder() !== undefined) {
        draft.remove();
        throw new LabError('WEFT_LAB_EXISTS', `lab ${lab.name} is being brought up by somebody else`, [`${error}`]);
      }
      // A lab that was killed left its directory.
      await takeDown(lab);
    }
  }
}
