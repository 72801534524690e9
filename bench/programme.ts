/**
 * The benches that there are: what each measures, what is asked of Weft in it, and how its report is called and put
 * in words. Running, judging and drawing are the same for all.
 */
import { dnsStagesOf } from './dns-plan.ts';
import { DNS_GOALS, GOALS, type Goal, SERVICE_GOALS } from './goals.ts';
import { stagesOf, type Wanted } from './plan.ts';
import type { Stage } from './rounds.ts';
import { serviceStagesOf } from './services-plan.ts';

/** One picture of a report: rows side by side. */
export interface Picture {
  readonly name: string;
  readonly title: string;
  readonly rows: readonly string[];
}

export interface Programme {
  /** Its report's files are called by it. */
  readonly name: string;
  readonly title: string;
  /** What people type for it. */
  readonly command: string;
  /** The column of the best peer. */
  readonly best: string;
  /** What everyone is measured on. */
  readonly topology: string;
  readonly goals: readonly Goal[];
  readonly pictures: readonly Picture[];
  stagesOf(wanted: Wanted): Stage[];
}

const HOSTS = 'Two hosts as network namespaces on one veth pair with an MTU of 1500';

export const OVERLAY: Programme = {
  name: 'overlay',
  title: 'Weft beside what people would use instead',
  command: 'make bench',
  best: 'best peer without encryption',
  topology: `${HOSTS}, pods behind each, cubic everywhere.`,
  goals: GOALS,
  pictures: [
    { name: 'overlay-throughput', title: 'TCP throughput, pod to pod across hosts', rows: ['tcp-1', 'tcp-4'] },
    { name: 'overlay-packets', title: '64-byte datagrams per second', rows: ['flood', 'connections'] },
    { name: 'overlay-latency', title: 'Latency, lower is better', rows: ['ping', 'request-response-p50'] },
    {
      name: 'overlay-underlays',
      title: 'TCP, 1 stream, on other underlays',
      rows: ['tcp-1/no-offloads', 'tcp-1/mtu-9000'],
    },
  ],
  stagesOf,
};

export const SERVICES: Programme = {
  name: 'services',
  title: "Weft's services beside proxies and the kernel's",
  command: 'make bench-services',
  best: 'best proxy',
  topology:
    `${HOSTS}: a client pod on one, three pods on the other behind a service, round robin, cubic everywhere. ` +
    "Proxies stand on the client's host before pods that the kernel's VXLAN reaches; direct is pod to pod on the same network.",
  goals: SERVICE_GOALS,
  pictures: [
    { name: 'services-connections', title: 'New TCP connections through a service', rows: ['connections/service'] },
    {
      name: 'services-cost',
      title: 'What a service costs beside the way without it',
      rows: ['stream/share', 'request-response-p50/share'],
    },
    {
      name: 'services-absolute',
      title: 'Through a service',
      rows: ['stream/service', 'request-response-p50/service'],
    },
  ],
  stagesOf: serviceStagesOf,
};

export const DNS: Programme = {
  name: 'dns',
  title: "The cluster's names: Weft beside DNS servers",
  command: 'make bench-dns',
  best: 'best server',
  topology:
    'A host as a network namespace with the server in it, and a pod with dnsperf: behind its own device for Weft, behind a ' +
    'veth pair for the others. One A record a service, 10,000 of them where nothing else is said, each asked once before. ' +
    'Processor time is the server process’s, of all its threads, kernel included.',
  goals: DNS_GOALS,
  pictures: [
    { name: 'dns-answers', title: 'Answers per second of processor', rows: ['names', 'names/1000-names'] },
    { name: 'dns-latency', title: 'Answer at 5000 questions/s, 10,000 names', rows: ['names-p50', 'names-p99'] },
  ],
  stagesOf: dnsStagesOf,
};
