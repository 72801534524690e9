/**
 * The lab file: a small YAML document that names hosts, the underlay between them and the manifests they read. First
 * stage of a lab's way (file -> topology -> holder). Every mistake is reported at once, each with its line and path.
 */
import {
  type Document,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type ParsedNode,
  parseDocument,
  type Scalar,
  type Node as YamlNode,
} from 'yaml';
import type { Problem } from '../kube/problem.ts';
import { formatAddress, parseAddress, parseAddress4 } from '../wire/address.ts';
import { formatPrefix, parsePrefix } from '../wire/prefix.ts';
import { nearest } from './nearest.ts';

/** What the file says; what it leaves out is decided by topology.ts. Manifests as written, not resolved. */
export interface LabFile {
  name?: string;
  hosts?: LabFileHost[];
  underlay?: LabFileUnderlay;
  backend?: 'vxlan' | 'host-gw';
  vni?: number;
  manifests?: string[];
  /** Options of every host's agent, without their dashes: `load-balancer-pool`. Known to the agent, not to us. */
  agent?: Record<string, string>;
}

export interface LabFileHost {
  name: string;
  address?: string;
  address6?: string;
  podCIDR?: string;
  podCIDR6?: string;
  /** `lab.yaml:7`: for what is found wrong later. */
  place: string;
}

export interface LabFileUnderlay {
  mtu?: number;
  cidr?: string;
  cidr6?: string;
  family?: 'dual' | 'ipv4' | 'ipv6';
}

const DNS_LABEL = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;
const MAX_VNI = 0xffffff;
const OPTION = /^[a-z][a-z0-9-]*$/;
/** What the lab itself says to its agents. */
const OWN_OPTIONS = ['node', 'backend', 'vni', 'state-dir', 'socket', 'manifests'];

/** Reads the text of a lab file. `file` is how messages name it. With problems, the lab is not to be used. */
export function parseLabFile(text: string, file: string): { lab: LabFile; problems: Problem[] } {
  const lines = new LineCounter();
  const document: Document.Parsed<ParsedNode> = parseDocument(text, { lineCounter: lines });
  const reader = new Reader(file, lines);
  for (const error of document.errors) {
    reader.problemAt(error.pos[0], (error.message.split('\n')[0] ?? 'not YAML').replace(/ at line \d+.*$/, ''));
  }
  const lab: LabFile = {};
  if (document.errors.length === 0 && document.contents !== null) {
    reader.fields(document.contents, '', {
      name: (node, path) => reader.match(node, path, DNS_LABEL, 'a lower-case DNS label', (v) => (lab.name = v)),
      hosts: (node, path) => (lab.hosts = readHosts(reader, node, path)),
      underlay: (node, path) => (lab.underlay = readUnderlay(reader, node, path)),
      backend: (node, path) =>
        reader.string(node, path, (value) => {
          if (value === 'vxlan' || value === 'host-gw') lab.backend = value;
          else reader.problem(node, path, `${value} is not a backend: vxlan or host-gw`);
        }),
      vni: (node, path) => reader.integer(node, path, 1, MAX_VNI, (value) => (lab.vni = value)),
      manifests: (node, path) => {
        const manifests: string[] = [];
        reader.items(node, path, (item, at) => reader.string(item, at, (value) => manifests.push(value)));
        lab.manifests = manifests;
      },
      agent: (node, path) => (lab.agent = readAgent(reader, node, path)),
    });
  }
  return { lab, problems: reader.problems };
}

function readHosts(reader: Reader, list: YamlNode, path: string): LabFileHost[] {
  const hosts: LabFileHost[] = [];
  reader.items(list, path, (item, at) => {
    const host: LabFileHost = { name: '', place: reader.place(item) };
    reader.fields(item, at, {
      name: (node, p) => reader.match(node, p, DNS_LABEL, 'a lower-case DNS label', (v) => (host.name = v)),
      address: (node, p) =>
        reader.string(node, p, (value) => {
          if (parseAddress4(value) === undefined) reader.problem(node, p, `${value} is not an IPv4 address`);
          else host.address = value;
        }),
      address6: (node, p) =>
        reader.string(node, p, (value) => {
          if (isIpv6(value)) host.address6 = canonical(value);
          else reader.problem(node, p, `${value} is not an IPv6 address`);
        }),
      podCIDR: (node, p) => reader.prefix(node, p, (value) => (host.podCIDR = value)),
      podCIDR6: (node, p) => reader.prefix6(node, p, (value) => (host.podCIDR6 = value)),
    });
    if (isMap(item) && !item.has('name')) reader.problem(item, at, 'a host needs a name');
    else if (host.name !== '' && hosts.some((other) => other.name === host.name)) {
      reader.problem(item, `${at}.name`, `${host.name} is the name of another host`);
    }
    hosts.push(host);
  });
  if (isSeq(list) && list.items.length === 0) reader.problem(list, path, 'a lab needs a host');
  return hosts;
}

function isIpv6(text: string): boolean {
  return text.includes(':') && parseAddress(text) !== undefined;
}

function canonical(address: string): string {
  return formatAddress(parseAddress(address) ?? [0, 0, 0, 0]);
}

function readUnderlay(reader: Reader, map: YamlNode, path: string): LabFileUnderlay {
  const underlay: LabFileUnderlay = {};
  reader.fields(map, path, {
    mtu: (node, p) => reader.integer(node, p, 576, 65535, (value) => (underlay.mtu = value)),
    cidr: (node, p) => reader.prefix(node, p, (value) => (underlay.cidr = value)),
    cidr6: (node, p) =>
      reader.prefix6(node, p, (value) => {
        if (Number(value.split('/')[1]) <= 96) underlay.cidr6 = value;
        else reader.problem(node, p, `${value} is too small: /96 at most, as in fd00:172:31::/64`);
      }),
    family: (node, p) =>
      reader.string(node, p, (value) => {
        if (value === 'dual' || value === 'ipv4' || value === 'ipv6') underlay.family = value;
        else reader.problem(node, p, `${value} is not a family: dual, ipv4 or ipv6`);
      }),
  });
  return underlay;
}

function readAgent(reader: Reader, map: YamlNode, path: string): Record<string, string> {
  const agent: Record<string, string> = {};
  if (!isMap(map)) reader.problem(map, path, 'must be a mapping of options of weft agent, without their dashes');
  for (const pair of isMap(map) ? map.items : []) {
    const key = pair.key as Scalar;
    const name = String(key.value);
    const at = `${path}.${name}`;
    const value = isScalar(pair.value) ? pair.value.value : undefined;
    if (!OPTION.test(name)) reader.problem(key, at, 'is no option: write it without its dashes');
    else if (OWN_OPTIONS.includes(name)) reader.problem(key, at, 'is what the lab itself tells its agents');
    else if (typeof value === 'string' || typeof value === 'number' || value === true) agent[name] = String(value);
    else reader.problem(key, at, 'must be a string, a number, or true for an option without a value');
  }
  return agent;
}

/** Walks YAML nodes and gathers problems with their line and path. */
class Reader {
  readonly problems: Problem[] = [];
  private readonly file: string;
  private readonly lines: LineCounter;

  constructor(file: string, lines: LineCounter) {
    this.file = file;
    this.lines = lines;
  }

  place(node: YamlNode): string {
    return `${this.file}:${this.lines.linePos(node.range?.[0] ?? 0).line}`;
  }

  problemAt(offset: number, message: string): void {
    this.problems.push({ place: `${this.file}:${this.lines.linePos(offset).line}`, message, severity: 'error' });
  }

  problem(node: YamlNode, path: string, message: string): void {
    this.problemAt(node.range?.[0] ?? 0, path === '' ? message : `${path}: ${message}`);
  }

  fields(node: YamlNode, path: string, known: Record<string, (value: YamlNode, path: string) => void>): void {
    if (!isMap(node)) this.problem(node, path, 'must be a mapping');
    for (const pair of isMap(node) ? node.items : []) {
      const key = pair.key as Scalar;
      const name = String(key.value);
      const at = path === '' ? name : `${path}.${name}`;
      const read = Object.hasOwn(known, name) ? known[name] : undefined;
      if (read === undefined) {
        const guess = nearest(name, Object.keys(known));
        this.problem(key, at, guess ? `unknown field; did you mean ${guess}?` : `unknown field`);
      } else if (pair.value === null || (isScalar(pair.value) && pair.value.value === null)) {
        this.problem(key, at, 'is empty');
      } else {
        read(pair.value as YamlNode, at);
      }
    }
  }

  items(node: YamlNode, path: string, read: (item: YamlNode, path: string) => void): void {
    if (isSeq(node)) node.items.forEach((item, i) => read(item as YamlNode, `${path}[${i}]`));
    else this.problem(node, path, 'must be a list');
  }

  string(node: YamlNode, path: string, take: (value: string) => void): void {
    if (isScalar(node) && typeof node.value === 'string' && node.value !== '') take(node.value);
    else this.problem(node, path, 'must be a string');
  }

  match(node: YamlNode, path: string, pattern: RegExp, what: string, take: (value: string) => void): void {
    this.string(node, path, (value) => {
      if (pattern.test(value)) take(value);
      else this.problem(node, path, `${value} is not ${what}`);
    });
  }

  prefix(node: YamlNode, path: string, take: (value: string) => void): void {
    this.string(node, path, (value) => {
      const [address = '', bits] = value.split('/');
      if (bits !== undefined && parseAddress4(address) !== undefined && parsePrefix(value) !== undefined) take(value);
      else this.problem(node, path, `${value} is not an IPv4 prefix such as 172.31.0.0/24`);
    });
  }

  prefix6(node: YamlNode, path: string, take: (value: string) => void): void {
    this.string(node, path, (value) => {
      const prefix = value.includes(':') ? parsePrefix(value) : undefined;
      if (prefix !== undefined) take(formatPrefix(prefix));
      else this.problem(node, path, `${value} is not an IPv6 prefix such as fd00:172:31::/64`);
    });
  }

  integer(node: YamlNode, path: string, low: number, high: number, take: (value: number) => void): void {
    const value = isScalar(node) ? node.value : undefined;
    if (typeof value === 'number' && Number.isInteger(value) && value >= low && value <= high) take(value);
    else this.problem(node, path, `must be a whole number from ${low} to ${high}`);
  }
}
