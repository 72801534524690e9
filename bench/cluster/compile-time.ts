/**
 * What a change of one endpoint costs a node behind the API: the model of all objects built anew, and compiled into
 * tables with the memory of the last ones. In memory; times are those of the processor.
 */
import { type CompileMemory, compile, emptyMemory, type HostContext } from '../../src/control/compile.ts';
import type { ClusterModel } from '../../src/control/model.ts';
import { buildModel } from '../../src/control/model-builder.ts';
import { type EndpointSlice, type KubeObject, objectSet } from '../../src/kube/objects.ts';
import { endpointsOf, nodeName, population, type Size } from './population.ts';
import { type Quantiles, quantiles } from './quantiles.ts';

const ROUNDS = 10;

export interface CompileTimes {
  readonly size: Size;
  /** Milliseconds: the first time, with everything new. */
  readonly first: { readonly model: number; readonly tables: number };
  /** After a change of one endpoint. */
  readonly change: { readonly model: Quantiles; readonly tables: Quantiles };
}

export function compileTimes(size: Size): CompileTimes {
  const { nodes, pods, services, slices } = population(size);
  const objects = [...nodes, ...pods, ...services, ...slices] as unknown as KubeObject[];
  const host = hostOf();
  let memory: CompileMemory = emptyMemory();
  let model: ClusterModel | undefined;
  const step = (changed: readonly KubeObject[]) => {
    const set = objectSet(changed);
    const began = processorMs();
    model = buildModel(set, host, model);
    const built = processorMs();
    const compiled = compile(model, host, memory);
    const ended = processorMs();
    memory = compiled.memory;
    if (memory.services.size !== size.services) {
      throw new Error(
        `${memory.services.size} of ${size.services} services were compiled: ${model.problems[0]?.message}`,
      );
    }
    return { model: built - began, tables: ended - built };
  };
  const first = step(objects);
  const changes = Array.from({ length: ROUNDS }, (_, round) => {
    const service = (round * 37) % size.services;
    const at = objects.length - size.services + service;
    const slice = { ...(objects[at] as EndpointSlice), endpoints: endpointsOf(service, size, round % 5) };
    objects[at] = slice as unknown as EndpointSlice;
    return step(objects);
  });
  return {
    size,
    first,
    change: {
      model: quantiles(changes.map(({ model }) => model)),
      tables: quantiles(changes.map(({ tables }) => tables)),
    },
  };
}

/** Of this process, so that others on the machine do not count. */
function processorMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

function hostOf(): HostContext {
  return {
    clusterCidr: '10.64.0.0/12',
    serviceCidr: '10.96.0.0/16',
    clusterDns: '10.96.0.10',
    clusterDomain: 'cluster.local',
    nodeName: nodeName(0),
    backend: 'vxlan',
    vni: 1,
    udpPort: 8472,
    podMtu: 1450,
    ports: [],
  };
}
