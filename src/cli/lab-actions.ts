/** What `weft lab up`, `down`, `status`, `logs` and `list` do: the lab room's functions, and printing. */

import { readFileSync } from 'node:fs';
import colors from 'picocolors';
import { takeDown } from '../lab/down.ts';
import { findPod } from '../lab/exec.ts';
import { findLab, LabDir, listLabs } from '../lab/lab-dir.ts';
import { LabError } from '../lab/lab-error.ts';
import { readLab } from '../lab/lab-status.ts';
import { containerFolders, containerLog, follow, tail } from '../lab/logs.ts';
import { bringUp } from '../lab/up.ts';
import { labStatusText, problemLines } from '../observe/lab-status-text.ts';
import { table } from '../observe/table.ts';
import { kubeconfigOf } from './cluster.ts';
import { etcdAccess } from './etcd-access.ts';
import type { EtcdOptions } from './etcd-options.ts';

/** What a lab that is up says of its manifests at once; the rest is a command away. */
const MOST_PROBLEMS = 5;

interface UpOptions extends EtcdOptions {
  name?: string;
  hosts?: number;
  manifests?: string[];
  timeout: number;
  keep?: boolean;
  apiserver: boolean;
}

export async function labUp(file: string | undefined, options: UpOptions): Promise<void> {
  const etcd = etcdAccess(options);
  if (etcd && !options.apiserver) throw new Error('--etcd-servers is for an API server: leave --no-apiserver out');
  const request = {
    ...(file === undefined ? {} : { file }),
    ...(options.name === undefined ? {} : { name: options.name }),
    ...(options.hosts === undefined ? {} : { hosts: options.hosts }),
    ...(options.manifests === undefined ? {} : { manifests: options.manifests }),
    ...(options.apiserver ? { store: options.store } : {}),
    ...(etcd ? { etcd } : {}),
    keep: options.keep ?? false,
    timeoutSeconds: options.timeout,
  };
  const lab = await bringUp(request, (step) => console.log(`${colors.green('✓')} ${step}`));
  const status = await readLab(lab);
  const pod = status.hosts.flatMap((host) => host.status?.pods ?? []).find((each) => each.name.startsWith('client'));
  const named = lab.name === 'default' ? '' : ` --name ${lab.name}`;
  const hint = pod && request.manifests === undefined && file === undefined;
  const wrong = problemLines(status);
  for (const line of wrong.slice(0, MOST_PROBLEMS)) console.log(`${colors.yellow('!')} ${line}`);
  if (wrong.length > MOST_PROBLEMS) console.log(`… and ${wrong.length - MOST_PROBLEMS} more: weft lab status${named}`);
  const tries = [
    ...(hint ? [`weft lab exec${named} ${pod.name} -- curl -s http://web/hostname`] : []),
    ...(status.apiServer ? [`kubectl --kubeconfig ${lab.kubeconfig} get pods -o wide`] : []),
  ];
  console.log(tries.length > 0 ? `\nTry: ${tries.join('\n     ')}` : '');
}

export async function labDown(options: { name?: string; all?: boolean }): Promise<void> {
  const labs = options.all ? listLabs() : [whichToTakeDown(options.name)];
  if (labs.length === 0) console.log('no lab is up');
  for (const lab of labs) {
    const etcd = lab.topology()?.api?.etcd;
    const was = await takeDown(lab);
    console.log(was ? `${colors.green('✓')} lab ${lab.name} is down` : `no lab ${lab.name}`);
    if (etcd) console.log(`  its objects stay in etcd, under ${etcd.prefix}`);
  }
}

/** Unlike for the other commands, a lab that is dead already, or that never was, will do. */
function whichToTakeDown(name: string | undefined): LabDir {
  const wanted = name ?? process.env.WEFT_LAB;
  if (wanted !== undefined) return new LabDir(wanted);
  const labs = listLabs();
  const plain = labs.find((lab) => lab.name === 'default') ?? (labs.length === 1 ? labs[0] : undefined);
  if (plain !== undefined || labs.length === 0) return plain ?? new LabDir('default');
  const names = labs.map((lab) => lab.name).join(', ');
  throw new LabError('WEFT_LAB_NAME', `several labs, say which by --name, or --all: ${names}`);
}

/** The whole of it, or where it is. */
export function labKubeconfig(options: { name?: string; output: 'yaml' | 'path' }): void {
  const path = kubeconfigOf(findLab(options.name));
  console.log(options.output === 'path' ? path : readFileSync(path, 'utf8').trimEnd());
}

export async function labStatus(options: { name?: string; output: 'table' | 'json' }): Promise<void> {
  const status = await readLab(findLab(options.name));
  console.log(options.output === 'json' ? JSON.stringify(status, undefined, 2) : labStatusText(status));
}

export async function labLogs(
  target: string,
  options: { name?: string; follow?: boolean; tail?: number },
): Promise<void> {
  const lab = findLab(options.name);
  const isHost = Object.hasOwn(lab.state()?.hosts ?? {}, target);
  const abort = new AbortController();
  if (options.follow) process.once('SIGINT', () => abort.abort()).once('SIGTERM', () => abort.abort());
  const write = (chunk: Buffer): void => void process.stdout.write(chunk);
  if (isHost) {
    const file = lab.agentLog(target);
    if (options.follow) return follow(file, write, abort.signal);
    const lines = tail(file, options.tail ?? Number.POSITIVE_INFINITY);
    if (lines.length > 0) console.log(lines.join('\n'));
    return;
  }
  const show = async (folder: string): Promise<void> => {
    const tailLines = options.tail === undefined ? {} : { tailLines: options.tail };
    const log = containerLog(folder, { ...tailLines, follow: options.follow ?? false }, abort.signal);
    for await (const chunk of log) write(chunk);
  };
  const folders = containerFolders(findPod(lab, target).directory);
  if (options.follow) await Promise.all(folders.map(show));
  else for (const folder of folders) await show(folder);
}

export async function labList(options: { output: 'table' | 'json' }): Promise<void> {
  const labs = listLabs().map((lab) => {
    const topology = lab.topology();
    const holder = lab.holder();
    return {
      name: lab.name,
      up: holder !== undefined,
      hosts: topology?.hosts.length ?? 0,
      backend: topology?.backend ?? '',
      rootless: holder?.rootless ?? false,
      directory: lab.path,
    };
  });
  if (options.output === 'json') console.log(JSON.stringify(labs, undefined, 2));
  else if (labs.length === 0) console.log('no labs: weft lab up');
  else {
    const rows = labs.map((lab) => [
      lab.name,
      lab.up ? colors.green('up') : colors.red('dead: weft lab down cleans up'),
      `${lab.hosts}`,
      lab.backend,
      lab.directory,
    ]);
    console.log(table(['LAB', 'STATE', 'HOSTS', 'BACKEND', 'DIRECTORY'], rows));
  }
}
