/**
 * How a packet's cost grows with what the dataplane has to remember. Every packet of a vector belongs to another flow
 * than the one before it, in an order that no cache can guess: the worst that traffic can do.
 */
import { NO_FLOW } from '../../src/dataplane/flow-record.ts';
import { allocateWords } from '../../src/io/table-memory.ts';
import { setU16, setU32, u16 } from '../../src/wire/bytes.ts';
import { adjust32 } from '../../src/wire/checksum.ts';
import { TestHost } from '../../test/dataplane/host.ts';
import { tcpPacket, udpPacket } from '../../test/dataplane/packets.ts';
import { type Bed, PACKETS, plainBed } from './bed.ts';
import { count, figure, table } from './markdown.ts';
import { budget, leastOf, ratiosOf, roundsOf, type Work } from './timing.ts';

const FLOWS = [1, 100, 1000, 10_000, 100_000, 1_000_000];
const FLAT_UP_TO = 100_000;
const SERVICES = [1, 100, 1000, 10_000];
const CONNECTIONS = 10_000;
/** A prime: flows take turns in steps of it. */
const STEP = 611_953;
const FIRST_PORT = 1024;
const PORTS = 60_000;
/** Rounds in place of one: short ones, so that what is compared is measured close together. */
const TURNS = 3;
const SYN = 2;
const ACK = 16;
/** 10.96.1.0. */
const FIRST_SERVICE = 0x0a600100;
const payload = new Uint8Array(64);
/** From an IP header without options: source port, destination port, TCP flags, UDP checksum. */
const AT = { checksum: 10, destination: 16, sourcePort: 20, destinationPort: 22, flags: 33, udpChecksum: 26 } as const;

type Write = (arena: Uint8Array, packet: number, flow: number) => void;

/** Vectors whose packets belong to `flows` flows in turn. */
class Turns {
  readonly bed: Bed;
  readonly #flows: number;
  readonly #write: Write;
  #next = 0;

  constructor(bed: Bed, flows: number, write: Write) {
    this.bed = bed;
    this.#flows = flows;
    this.#write = write;
  }

  arrive(step = STEP): void {
    const { vector } = this.bed.host;
    this.bed.arrive();
    for (let i = 0; i < PACKETS; i++) {
      this.#write(vector.arena, vector.offset[i] as number, this.#next);
      this.#next = (this.#next + step) % this.#flows;
    }
  }

  /** Every flow has a packet. */
  meetAll(): this {
    for (let met = 0; met < this.#flows; met += PACKETS) {
      this.arrive(1);
      this.bed.decide();
      if (this.bed.leaving() !== PACKETS)
        throw new Error(`packets are dropped: ${JSON.stringify(this.bed.host.drops)}`);
    }
    this.#next = 0;
    return this;
  }

  get work(): Work {
    return { prepare: () => this.arrive(), run: () => this.bed.decide() };
  }
}

export async function flowGrowth(): Promise<string> {
  const beds = FLOWS.map(flowTurns);
  const rounds = await roundsOf(
    beds.map((b) => b.work),
    TURNS * budget.rounds,
  );
  const figures = leastOf(rounds);
  const ratios = ratiosOf(rounds, 0);
  const rows = FLOWS.map((flows, i) => {
    const ns = (figures[i] as number) / PACKETS;
    const { bytes } = (beds[i] as Turns).bed.host.pipeline.context.flows;
    return [count(flows), figure(ns), (ratios[i] as number).toFixed(2), (bytes / 1e6).toFixed(1)];
  });
  const most = Math.max(...ratios.filter((_, i) => (FLOWS[i] as number) <= FLAT_UP_TO));
  return `## Flows

UDP to another host, each packet of another flow; the flow table is on huge pages, as in a worker. From 1 to
${count(FLAT_UP_TO)} flows a packet costs at most **${most.toFixed(2)}** times what it costs with one. Here and below, ratios are medians
of those of each round.

${table(['flows', 'ns a packet', 'to 1 flow', 'flow table, MB'], rows)}`;
}

function flowTurns(flows: number): Turns {
  const host = new TestHost({ number: 1, hosts: 2, maxFlows: flows, allocate: allocateWords });
  const packet = udpPacket({ from: '10.244.1.10', to: '10.244.2.10', fromPort: 1, toPort: 1, payload });
  // No checksum: ports may be written without another one.
  setU16(packet, AT.udpChecksum, 0);
  const turns = new Turns(
    plainBed(host, () => packet),
    flows,
    (arena, o, flow) => {
      setU16(arena, o + AT.sourcePort, FIRST_PORT + (flow % PORTS));
      setU16(arena, o + AT.destinationPort, FIRST_PORT + Math.floor(flow / PORTS));
    },
  );
  turns.meetAll();
  const { size } = host.pipeline.context.flows;
  if (size !== flows) throw new Error(`${size} of ${flows} flows are known`);
  return turns;
}

export async function serviceGrowth(): Promise<string> {
  const known = SERVICES.map((services) => serviceTurns(services, ACK).meetAll());
  const fresh = SERVICES.map((services) => serviceTurns(services, SYN));
  const works = [...known.map((t) => t.work), ...fresh.map(connecting)];
  const rounds = await roundsOf(works, TURNS * budget.rounds);
  const figures = leastOf(rounds).map((ns) => ns / PACKETS);
  for (const { bed } of fresh) {
    if (bed.leaving() !== PACKETS) throw new Error(`connections fail: ${JSON.stringify(bed.host.drops)}`);
  }
  const n = SERVICES.length;
  const ratios = [...ratiosOf(rounds, 0).slice(0, n), ...ratiosOf(rounds, n).slice(n)];
  const rows = SERVICES.map((services, i) => [
    count(services),
    figure(figures[i] as number),
    (ratios[i] as number).toFixed(2),
    figure(figures[n + i] as number),
    (ratios[n + i] as number).toFixed(2),
  ]);
  const most = (from: number) => Math.max(...ratios.slice(from, from + n)).toFixed(2);
  return `## Services

TCP to services with one endpoint each on another host: packets of ${count(CONNECTIONS)} known connections, and first
packets of new ones. From 1 to ${count(SERVICES.at(-1) as number)} services a packet of a known connection costs at most
**${most(0)}** times what it costs with one, a new connection **${most(n)}** times.

${table(['services', 'ns a packet, known', 'to 1 service', 'ns a packet, new', 'to 1 service'], rows)}`;
}

/** Packets to services in turn. With ACK, connections must be met before; see `meetAll`. */
function serviceTurns(services: number, flags: number): Turns {
  const host = new TestHost({ number: 1, hosts: 2 });
  const list = Array.from({ length: services }, (_, s) => ({
    address: `10.96.${1 + (s >> 8)}.${s & 255}`,
    port: 80,
    // Ports of their own: connections to different services may come from the same port.
    endpoints: [`10.244.2.10:${FIRST_PORT + s}`],
  }));
  host.publish({ services: list });
  const packet = tcpPacket({ from: '10.244.1.10', to: '10.96.1.0', fromPort: 1, toPort: 80, flags, payload });
  let first = flags === ACK ? CONNECTIONS : 0;
  return new Turns(
    plainBed(host, () => packet),
    CONNECTIONS,
    (arena, o, connection) => {
      const to = FIRST_SERVICE + (connection % services);
      setU16(arena, o + AT.checksum, adjust32(u16(arena, o + AT.checksum), FIRST_SERVICE, to));
      setU32(arena, o + AT.destination, to);
      setU16(arena, o + AT.sourcePort, FIRST_PORT + Math.floor(connection / services));
      if (first > 0) {
        first--;
        arena[o + AT.flags] = SYN;
      }
    },
  );
}

/** New connections in every vector: those of the last one are forgotten before. */
function connecting(turns: Turns): Work {
  const { flows, batch } = turns.bed.host.pipeline.context;
  const known = new Int32Array(PACKETS).fill(NO_FLOW);
  return {
    prepare() {
      for (const record of known) if (record !== NO_FLOW) flows.remove(record);
      turns.arrive();
    },
    run() {
      turns.bed.decide();
      known.set(batch.flow.subarray(0, PACKETS));
    },
  };
}
