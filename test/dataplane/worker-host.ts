/**
 * A host of a test whose dataplane has several workers, in one thread: each with its own ports in memory, joined by
 * the rings that join real ones. What the kernel does for them is done here: a pod's packets go to the worker that
 * reads its device, the overlay's to the worker that the socket program picks, or to one picked at random.
 */
import { Crossing, type SharedMemory, shareMemory, workerOf } from '../../src/dataplane/crossing.ts';
import {
  ENDPOINT_AREA_BYTES,
  ENDPOINT_LIMIT,
  EndpointStates,
  readEndpoints,
} from '../../src/dataplane/endpoint-states.ts';
import { FLOW, FLOW_WORDS, STATE } from '../../src/dataplane/flow-record.ts';
import { Pipeline } from '../../src/dataplane/pipeline.ts';
import { type InjectMeta, MemoryIo, type SentPacket } from '../../src/io/memory-io.ts';
import { PacketVector } from '../../src/io/vector.ts';
import * as ipv4 from '../../src/wire/ipv4.ts';
import * as ipv6 from '../../src/wire/ipv6.ts';
import { HOST_PORT, type HostOptions, OVERLAY_PORT, tablesOf, underlay, words } from './host.ts';
import { address, read, type Seen } from './packets.ts';

/** Bytes in front of the inner IP header. */
const ENCAP_BYTES = 22;

export interface WorkerHostOptions extends HostOptions {
  workers: number;
  /** Which worker gets a packet of the overlay, for one whose steering cannot be relied on. */
  steer?: () => number;
}

class TestWorker {
  readonly io = new MemoryIo({ overlayPorts: [OVERLAY_PORT] });
  readonly vector: PacketVector;
  readonly crossing: Crossing;
  readonly pipeline: Pipeline;

  constructor(
    self: number,
    memory: SharedMemory,
    areas: readonly SharedArrayBuffer[],
    options: HostOptions,
    wake: (worker: number) => void,
  ) {
    this.vector = new PacketVector(new Uint8Array(memory.arenas[self]!));
    this.crossing = new Crossing(self, memory, wake);
    const { maxFlows } = options;
    const endpoints = new EndpointStates(areas, self);
    this.pipeline = new Pipeline(this.vector, { maxFlows, seed: self + 1, crossing: this.crossing, endpoints });
    this.pipeline.context.attached.fill(1, 0, 64);
    for (let n = 0; n < (options.pods ?? 2); n++) {
      this.crossing.readers[16 + n] = workerOf(address(`10.244.${options.number}.${10 + n}`), memory.arenas.length);
    }
  }

  /** Takes and decides one vector in the order of worker.ts; false when nothing came and nothing leaves. */
  step(): boolean {
    this.crossing.waits(-1);
    const received = this.io.exchange(this.vector, 0);
    const handedOver = this.crossing.take(this.vector);
    this.pipeline.process(this.io.nowMs, handedOver);
    return received + handedOver > 0 || this.vector.outPort.subarray(0, this.vector.count).some((p) => p >= 0);
  }
}

export class WorkerHost {
  readonly workers: TestWorker[];
  readonly wakes: number[] = [];
  readonly endpointAreas: readonly SharedArrayBuffer[];
  options: WorkerHostOptions;
  #generation = 0;

  constructor(options: WorkerHostOptions) {
    this.options = options;
    const memory = shareMemory(options.workers);
    const wake = (worker: number) => this.wakes.push(worker);
    const areas = Array.from({ length: options.workers }, () => new SharedArrayBuffer(ENDPOINT_AREA_BYTES));
    this.endpointAreas = areas;
    this.workers = areas.map((_, self) => new TestWorker(self, memory, areas, options, wake));
    this.publish({});
  }

  publish(change: Partial<WorkerHostOptions>): void {
    this.options = { ...this.options, ...change };
    this.#generation++;
    for (const worker of this.workers) worker.pipeline.swap(tablesOf(this.options, this.#generation));
  }

  /** The worker that reads a pod's device. */
  reader(pod: number): number {
    return workerOf(address(`10.244.${this.options.number}.${10 + pod}`), this.workers.length);
  }

  send(pod: number, packet: Uint8Array, meta?: InjectMeta): void {
    this.workers[this.reader(pod)]!.io.inject(16 + pod, packet, meta);
  }

  sendFromHost(packet: Uint8Array): void {
    this.workers[0]!.io.inject(HOST_PORT, packet);
  }

  /** A packet of the overlay arrives. */
  arrive(bytes: Uint8Array, from: number, meta: InjectMeta = {}): void {
    const { steer, workers, number } = this.options;
    const type = (bytes[20]! << 8) | bytes[21]!;
    const is4 = type === 0x0800;
    const last = is4 ? ipv4.destination(bytes, ENCAP_BYTES) : ipv6.destinationWord(bytes, ENCAP_BYTES, 3);
    const gateway = is4 ? address(`10.244.${number}.1`) : 1;
    const picked = (is4 || type === 0x86dd) && last !== gateway ? workerOf(last, workers) : 0;
    this.workers[steer?.() ?? picked]!.io.inject(OVERLAY_PORT, bytes, { ...meta, peer: words(underlay(from)) });
  }

  /** What left by a port since the last time, whichever worker sent it. */
  sent(port: number): SentPacket[] {
    return this.workers.flatMap((worker) => worker.io.sent(port));
  }

  at(pod: number): Seen[] {
    return this.sent(16 + pod).map((p) => read(p.bytes));
  }

  atHost(): Seen[] {
    return this.sent(HOST_PORT).map((p) => read(p.bytes));
  }

  wait(milliseconds: number): void {
    for (const worker of this.workers) worker.io.advance(milliseconds);
    settleAll([this]);
  }

  get drops(): Record<string, number> {
    const out: Record<string, number> = {};
    for (const { pipeline } of this.workers) {
      for (const [id, count] of Object.entries(pipeline.context.counters.dropsByReason())) {
        out[id] = (out[id] ?? 0) + count;
      }
    }
    return out;
  }

  /** Connections that endpoints say they have, and that flows say they are. */
  get active(): number {
    const endpoints = Object.values(readEndpoints(this.endpointAreas, ENDPOINT_LIMIT, 0));
    return endpoints.reduce((sum, one) => sum + one.active, 0);
  }

  get counted(): number {
    let sum = 0;
    for (const { pipeline } of this.workers) {
      const w = pipeline.context.flows.words;
      for (let o = 0; o < w.length; o += 2 * FLOW_WORDS) {
        if (w[o + FLOW.protocol] !== 0 && (w[o + FLOW.state]! & STATE.counted) !== 0) sum++;
      }
    }
    return sum;
  }

  /** Connections that each worker knows. */
  get flows(): number[] {
    return this.workers.map(({ pipeline }) => pipeline.context.flows.size);
  }

  /** Keys of records that more than one worker has. */
  sharedKeys(): string[] {
    const seen = new Set<string>();
    const shared: string[] = [];
    for (const { pipeline } of this.workers) {
      const w = pipeline.context.flows.words;
      for (let o = 0; o < w.length; o += FLOW_WORDS) {
        if (w[o + FLOW.protocol] === 0) continue;
        const key = w.subarray(o, o + FLOW.protocol + 1).join(' ');
        if (seen.has(key)) shared.push(key);
        seen.add(key);
      }
    }
    return shared;
  }
}

/** Runs hosts until nothing moves any more; `order` says which worker is next, round by round. */
export function settleAll(hosts: readonly WorkerHost[], order = (workers: TestWorker[]) => workers): void {
  for (let round = 0; round < 200; round++) {
    let moved = false;
    for (const host of hosts) {
      for (const worker of order([...host.workers])) if (worker.step()) moved = true;
      for (const packet of host.sent(OVERLAY_PORT)) {
        const to = hosts.find((other) => words(underlay(other.options.number))[3] === packet.peer[3]);
        const { gsoType, gsoSize, flags, checksumStart, checksumOffset } = packet;
        to?.arrive(packet.bytes, host.options.number, { gsoType, gsoSize, flags, checksumStart, checksumOffset });
        moved = true;
      }
    }
    if (!moved) return;
  }
  throw new Error('packets go round and round');
}
