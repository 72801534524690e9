/** `weft apply`: makes objects, or changes them to what their manifests say now, as `kubectl apply` does. */
import { ApiRequestError } from '../kube/api-client.ts';
import { collectionPath, objectPath, servedApiVersion, shownName } from '../kube/discovery.ts';
import { lastApplied, withLastApplied } from '../kube/last-applied.ts';
import { type MergeRules, threeWayPatch } from '../kube/three-way-patch.ts';
import { type Cluster, type ClusterOptions, openCluster } from './cluster.ts';
import { type GivenObject, readObjects } from './manifest-input.ts';

export interface ApplyOptions extends ClusterOptions {
  filename: string[];
  dryRun: 'none' | 'server';
}

type Json = Record<string, unknown>;
type Stored = Json & { metadata: { resourceVersion?: string; annotations?: Record<string, string> } };
type Outcome = 'created' | 'configured' | 'unchanged';

/** Exit code 1 where an object could not be read or applied; the others are. */
export async function apply(options: ApplyOptions): Promise<number> {
  const cluster = openCluster(options);
  try {
    const { objects, bad } = await readObjects(cluster, options.filename);
    if (objects.length === 0 && !bad) throw new Error('no objects passed to apply');
    let failed = bad;
    const note = options.dryRun === 'server' ? ' (server dry run)' : '';
    for (const given of objects) {
      const name = shownName(given.kind, given.object.metadata.name);
      try {
        console.log(`${name} ${await applyOne(cluster, given, options)}${note}`);
      } catch (error) {
        if (!(error instanceof ApiRequestError)) throw error;
        console.error(`weft: ${name}: ${error.message}`);
        failed = true;
      }
    }
    return failed ? 1 : 0;
  } finally {
    cluster.client.close();
  }
}

async function applyOne({ client }: Cluster, { object, kind }: GivenObject, options: ApplyOptions): Promise<Outcome> {
  const { name, namespace } = object.metadata;
  const path = objectPath(kind, namespace, name);
  const query = { fieldValidation: 'Strict', ...(options.dryRun === 'server' ? { dryRun: 'All' } : {}) };
  const wanted = withLastApplied(object as Stored);
  const current = await client.get<Stored>(path).catch((error: unknown) => {
    if (error instanceof ApiRequestError && error.reason === 'NotFound') return undefined;
    throw error;
  });
  if (current === undefined) {
    await client.post(collectionPath(kind, namespace), wanted, { query });
    return 'created';
  }
  const rules = await strategicRules(servedApiVersion(kind), kind.kind);
  const patch = threeWayPatch(lastApplied(current), wanted, current, rules);
  if (Object.keys(patch).length === 0) return 'unchanged';
  const after = await client.patch<Stored>(path, rules ? 'strategic' : 'merge', patch, { query });
  return after.metadata.resourceVersion === current.metadata.resourceVersion ? 'unchanged' : 'configured';
}

/** Of kinds that Kubernetes itself has; undefined for others, whose servers take no strategic patch. */
async function strategicRules(apiVersion: string, kind: string): Promise<MergeRules | undefined> {
  const { resourceOfKind } = await import('../apiserver/manifests/manifest-kinds.ts');
  const { ResourceTable } = await import('../apiserver/kinds/resource-table.ts');
  const { mergeRulesOf } = await import('../apiserver/kinds/resource.ts');
  const resource = resourceOfKind(new ResourceTable(), apiVersion, kind);
  return resource && mergeRulesOf(resource);
}
