/**
 * Which cluster a command is for, and how to ask it: the kubeconfig that is given, a lab's, the one that KUBECONFIG
 * names, or that of the only lab there is.
 */
import { existsSync } from 'node:fs';
import { delimiter } from 'node:path';
import { ApiClient } from '../kube/api-client.ts';
import { Discovery, type ServedKind } from '../kube/discovery.ts';
import { readKubeconfig } from '../kube/kubeconfig.ts';
import { findLab, type LabDir } from '../lab/lab-dir.ts';
import { LabError } from '../lab/lab-error.ts';

export interface ClusterOptions {
  kubeconfig?: string;
  context?: string;
  lab?: string;
  namespace?: string;
}

export interface Cluster {
  client: ApiClient;
  discovery: Discovery;
  /** Where objects are that name no namespace. */
  namespace: string;
}

/** Throws KubeconfigError or LabError. */
export function openCluster(options: ClusterOptions): Cluster {
  const access = readKubeconfig(kubeconfigPath(options), options.context);
  const client = new ApiClient(access);
  return { client, discovery: new Discovery(client), namespace: options.namespace ?? access.namespace };
}

function kubeconfigPath({ kubeconfig, lab }: ClusterOptions): string {
  if (kubeconfig !== undefined) return kubeconfig;
  if (lab === undefined) {
    const named = environmentKubeconfig();
    if (named !== undefined) return named;
  }
  return kubeconfigOf(findLab(lab));
}

/** The first file of a list that is there, as kubectl takes it for the current context. */
export function environmentKubeconfig(): string | undefined {
  const paths = (process.env.KUBECONFIG ?? '').split(delimiter).filter((path) => path !== '');
  return paths.find((path) => existsSync(path)) ?? paths[0];
}

/** Throws LabError where it has no API server. */
export function kubeconfigOf(lab: LabDir): string {
  if (existsSync(lab.kubeconfig)) return lab.kubeconfig;
  throw new LabError('WEFT_LAB_TARGET', `lab ${lab.name} has no API server: it was brought up with --no-apiserver`);
}

/** Throws where the server has no such kind. */
export async function kindCalled({ discovery }: Cluster, word: string): Promise<ServedKind> {
  const kind = await discovery.find(word);
  if (kind) return kind;
  throw new Error(`the server doesn't have a resource type "${word}"`);
}

/** What words name: `pods`, `pods,svc`, `all`, `pod/web-0 svc/web`, `pods web-0 web-1`. */
export interface NamedKind {
  kind: ServedKind;
  /** None: all of them. */
  names: readonly string[];
}

export async function namedKinds(cluster: Cluster, words: readonly string[]): Promise<NamedKind[]> {
  const [first = '', ...names] = words;
  if (words.some((word) => word.includes('/'))) {
    const wanted = new Map<ServedKind, string[]>();
    for (const word of words) {
      const [type = '', name = '', ...more] = word.split('/');
      if (type === '' || name === '' || more.length > 0) {
        throw new Error(`${word}: write TYPE/NAME, as in pod/web-0, for all of them or for none`);
      }
      const kind = await kindCalled(cluster, type);
      wanted.set(kind, [...(wanted.get(kind) ?? []), name]);
    }
    return [...wanted].map(([kind, each]) => ({ kind, names: each }));
  }
  const kinds: ServedKind[] = [];
  for (const word of first.split(',')) {
    const found = word === 'all' ? await cluster.discovery.category(word) : [await kindCalled(cluster, word)];
    kinds.push(...found.filter((kind) => !kinds.includes(kind)));
  }
  return kinds.map((kind) => ({ kind, names }));
}
