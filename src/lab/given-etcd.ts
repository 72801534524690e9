/**
 * Whether a lab may join an etcd, asked before anything is made: its members answer, nobody else lives under the same
 * prefix, and no cluster whose objects we could not read stands there.
 */
import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { EtcdStore, type EtcdStoreOptions } from '../apiserver/store/etcd-store.ts';
import { prefixRange } from '../apiserver/store/store.ts';
import { LabError } from './lab-error.ts';

const ANSWER_MS = 5000;
/** Agents renew their Leases every second. */
const SILENCE_MS = 2500;
const LEASES = prefixRange('/registry/coordination.k8s.io/leases/kube-node-lease/');
const NAMESPACES = prefixRange('/registry/namespaces/');
/** What Kubernetes writes before an object as protobuf. */
const PROTOBUF = Buffer.from('k8s\0');

/** No other lab's, of this machine or another. */
export function labPrefix(lab: string): string {
  return `/weft/${hostname()}/${lab}`;
}

/** Throws a LabError. `report` is told of members that do not answer where others do. */
export async function checkGivenEtcd(options: EtcdStoreOptions, report: (step: string) => void): Promise<void> {
  const members = options.endpoints.map((url) => {
    return { url, store: new EtcdStore({ ...options, endpoints: [url], direct: true }) };
  });
  try {
    const asked = await Promise.all(members.map(async (each) => ({ ...each, why: await whySilent(each.store) })));
    const silent = asked.flatMap(({ url, why }) => (why === undefined ? [] : [`${url}: ${why}`]));
    const answering = asked.find(({ why }) => why === undefined);
    if (answering === undefined) {
      const [first, ...more] = silent;
      throw new LabError('WEFT_LAB_SYSTEM', `etcd does not answer: ${first}`, more);
    }
    for (const each of silent) report(`etcd goes without ${each}`);
    await refuseOccupied(answering.store, options.prefix ?? '');
  } finally {
    await Promise.all(members.map(({ store }) => store.close()));
  }
}

async function whySilent(store: EtcdStore): Promise<string | undefined> {
  const late = sleep(ANSWER_MS, `no answer within ${ANSWER_MS / 1000} s`, { ref: false });
  return Promise.race([late, store.revision().then(() => undefined, reasonOf)]);
}

/** gRPC's own words around the reason are no help to anybody. */
function reasonOf({ message }: Error): string {
  const inner = message.replace(/^.*Last error: (Error: )?/, '').replace(/^etcd: (\d+ [A-Z_]+: )?/, '');
  return inner.replace(/ \(\d{4}-.*|\. Resolution note.*/, '');
}

async function refuseOccupied(store: EtcdStore, prefix: string): Promise<void> {
  const { values } = await store.range({ ...NAMESPACES, limit: 1 });
  if (values.some(({ value }) => PROTOBUF.equals(value.subarray(0, PROTOBUF.length)))) {
    const message = `etcd holds the objects of another Kubernetes API server under ${prefix}: say another --etcd-prefix`;
    throw new LabError('WEFT_LAB_EXISTS', message);
  }
  const before = await store.range(LEASES);
  if (before.values.length === 0) return;
  await sleep(SILENCE_MS);
  const after = await store.range(LEASES);
  const renewed = after.values.find(({ modRevision }) => modRevision > before.revision);
  if (renewed === undefined) return;
  const node = renewed.key.slice(LEASES.from.length);
  const message = `etcd's ${prefix} is in use: node ${node} renews its Lease there; say another --etcd-prefix, or take that lab down`;
  throw new LabError('WEFT_LAB_EXISTS', message);
}
