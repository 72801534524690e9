/** Whether the objects of a lab's manifests that make pods have as many as they want, asked of the lab's API server. */
import { ApiClient, pathSegment } from '../kube/api-client.ts';
import { readKubeconfig } from '../kube/kubeconfig.ts';
import { type NamedObject, objectTitle } from '../kube/objects.ts';

interface Workload {
  metadata: { generation?: number };
  spec?: { replicas?: number };
  status?: { observedGeneration?: number; readyReplicas?: number };
}

const ANSWER_MS = 5000;

/** A sentence for each that is not there yet: `Deployment default/web: 1 of 3 pods are ready`. */
export async function unreadyWorkloads(kubeconfig: string, workloads: readonly NamedObject[]): Promise<string[]> {
  if (workloads.length === 0) return [];
  const client = new ApiClient(readKubeconfig(kubeconfig));
  try {
    return (await Promise.all(workloads.map((each) => unready(client, each)))).filter((text) => text !== '');
  } finally {
    client.close();
  }
}

async function unready(client: ApiClient, object: NamedObject): Promise<string> {
  const { apiVersion, kind, metadata } = object;
  const path = `/apis/${apiVersion}/namespaces/${pathSegment(metadata.namespace ?? 'default')}/${kind.toLowerCase()}s`;
  const title = objectTitle(object);
  try {
    const found = await client.get<Workload>(`${path}/${pathSegment(metadata.name)}`, { timeoutMs: ANSWER_MS });
    const { spec = {}, status = {} } = found;
    const { replicas = 1 } = spec;
    const { observedGeneration = 0, readyReplicas = 0 } = status;
    const seen = observedGeneration >= (found.metadata.generation ?? 0);
    return seen && readyReplicas >= replicas ? '' : `${title}: ${readyReplicas} of ${replicas} pods are ready`;
  } catch (error) {
    return `${title}: ${error instanceof Error ? error.message : error}`;
  }
}
