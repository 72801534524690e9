/**
 * What a contest is made of: networks between pods that somebody built (contenders), and what is measured on each of
 * them (subjects). The rules are in rounds.ts: who is measured when, and which measurement counts.
 */

export interface Pod {
  readonly namespace: string;
  readonly address: string;
}

/** A host's namespace; its end of the underlay is the device `under`. */
export interface Host {
  readonly namespace: string;
  readonly address: string;
}

export const UNDERLAY_DEVICE = 'under';

/** What subjects' servers listen on, and so what a contender's service forwards, each to the same port. */
export const PORTS = { iperf: 5201, secondIperf: 5202, echo: 9010, connect: 9011, flood: 9009 } as const;
export const UDP_PORTS: readonly number[] = [PORTS.flood, PORTS.echo];
export const TCP_PORTS: readonly number[] = [PORTS.iperf, PORTS.secondIperf, PORTS.echo, PORTS.connect];

/** A network between two pods. */
export interface Contender {
  readonly name: string;
  readonly title: string;
  /** Ourselves, what the kernel does alone, or another program. */
  readonly kind: 'weft' | 'kernel' | 'peer';
  readonly encrypted: boolean;
  /** Client first; traffic goes from it to the second. Known once it is up, as all below. */
  readonly pods: readonly [Pod, Pod];
  readonly hosts: readonly [Host, Host];
  /** A second pod on the client's host. */
  readonly local?: Pod;
  /** The address of a service on PORTS; its endpoints are the second pod and those below. */
  readonly service?: string;
  /** Pods beside the second one, on its host, that stand behind the service. */
  readonly otherEndpoints?: readonly Pod[];
  /** Why it cannot take part here, or undefined. */
  missing(): Promise<string | undefined>;
  /** Makes it; resolves when its pods reach each other, with a sentence about how it works. */
  up(): Promise<string>;
  down(): Promise<void>;
  /** The program and its version. */
  version(): Promise<string>;
  /** Processes that carry its packets: their memory is counted. */
  processes(): readonly number[];
  /** So many services more than the one above, in force when it resolves. */
  setServices?(count: number): Promise<void>;
}

/** Where a subject's traffic goes. */
export interface Path {
  readonly client: Pod;
  /** Where servers are started. */
  readonly server: Pod;
  /** And here, where `address` is a service's that may choose any of them. */
  readonly otherServers?: readonly Pod[];
  /** What the client connects to: the server's own address, or a service's. */
  readonly address: string;
  readonly contender: Contender;
}

/** One figure of a subject: a line of the report. */
export interface Row {
  readonly name: string;
  readonly title: string;
  readonly unit: string;
  readonly better: 'higher' | 'lower';
}

/** Something measured by one run that may yield several figures. */
export interface Subject {
  /** As --subjects names it. */
  readonly name: string;
  readonly rows: readonly Row[];
  /** What about it takes, for the time that is left. */
  readonly seconds: number;
  /** undefined: this contender cannot do that; its rows show "-". An Error: it should have and did not. */
  measure(path: Path): Promise<Measurement | undefined>;
}

export interface Measurement {
  /** By the row's name; one that is absent shows as "-". */
  readonly values: Readonly<Record<string, number>>;
  /** Shown beside the first row's value: retransmissions, loss and so on. */
  readonly detail?: Readonly<Record<string, number>>;
  /** Payload that the network carried while `measure` ran, warming up included: what the processors' time is for. */
  readonly bytes?: number;
  readonly packets?: number;
}
