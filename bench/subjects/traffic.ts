/**
 * Drives the traffic generator (traffic.cc), which is compiled when first needed: the client's command in the client
 * pod, what listens in the server pod, and their one line of JSON each.
 */
import { inNamespace, run } from '../command.ts';
import { type Path, PORTS, type Pod } from '../contest.ts';
import { privateFolder } from '../isolation.ts';
import { type Listener, listen } from './listener.ts';

const SOURCES = ['traffic.cc', 'datagrams.cc', 'connections.cc', 'streams.cc'].map((f) => `bench/subjects/${f}`);
export const PAYLOAD_BYTES = 64;
/** As kFlowPorts in traffic.h. */
const FLOW_PORTS = 4;

/** What it printed at its end, by name. */
export type Figures = Readonly<Record<string, number>>;

let program: Promise<string> | undefined;

function compiled(): Promise<string> {
  program ??= (async () => {
    const path = `${privateFolder('traffic')}/traffic`;
    await run(['g++', '-O2', '-pthread', '-o', path, ...SOURCES]);
    return path;
  })();
  return program;
}

/** Runs a client's command to its end. */
export async function traffic(pod: Pod, command: string, ...args: (string | number)[]): Promise<Figures> {
  const argv = [await compiled(), command, ...args.map(String)];
  return figuresOf(await run(inNamespace(pod.namespace, argv)));
}

/** Starts one that listens; `kill` it afterwards. */
export async function trafficServer(pod: Pod, command: string, ...args: (string | number)[]): Promise<Listener> {
  return listen(pod, [await compiled(), command, ...args.map(String)]);
}

/** One on every server that the path may lead to. */
export async function trafficServers(
  { server, otherServers = [] }: Path,
  command: string,
  ...args: (string | number)[]
): Promise<Pick<Listener, 'kill'>> {
  const started = await Promise.allSettled(
    [server, ...otherServers].map((pod) => trafficServer(pod, command, ...args)),
  );
  const listeners = started.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
  const kill = async () => {
    await Promise.all(listeners.map((listener) => listener.kill()));
  };
  const failed = started.find((one) => one.status === 'rejected');
  if (!failed) return { kill };
  await kill();
  throw failed.reason;
}

export interface FloodOptions {
  seconds: number;
  /** Datagrams a second of all senders together; absent: as fast as they can. */
  perSecond?: number;
  senders?: number;
  /** Spread over so many flows, each datagram of another one than the last. */
  flows?: number;
}

export interface FloodResult {
  sent: number;
  sentPerSecond: number;
  receivedPerSecond: number;
  /** 0 to 1. */
  loss: number;
}

export async function flood(path: Path, options: FloodOptions): Promise<FloodResult> {
  const { seconds, perSecond = 0, senders = 1, flows = 0 } = options;
  const receiver = await trafficServer(path.server, 'receive', PORTS.flood, flows > 0 ? FLOW_PORTS : 1);
  try {
    const to = [path.address, PORTS.flood, PAYLOAD_BYTES];
    const sender = await traffic(path.client, 'flood', ...to, seconds, Math.round(perSecond), senders, flows);
    const receipt = figuresOf(await receiver.end('SIGTERM'));
    const [sent, received] = [figure(sender, 'sent'), figure(receipt, 'received')];
    const taken = Math.max(figure(receipt, 'seconds'), figure(sender, 'seconds'));
    return {
      sent,
      sentPerSecond: sent / figure(sender, 'seconds'),
      receivedPerSecond: received / taken,
      loss: sent > 0 ? Math.max(0, 1 - received / sent) : 0,
    };
  } finally {
    await receiver.kill();
  }
}

export function figure(figures: Figures, name: string): number {
  const value = figures[name];
  if (value === undefined) throw new Error(`the traffic generator did not say ${name}: ${JSON.stringify(figures)}`);
  return value;
}

function figuresOf(output: string): Figures {
  return JSON.parse(output.trim().split('\n').at(-1) ?? '{}') as Figures;
}
