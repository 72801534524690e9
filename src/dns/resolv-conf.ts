/**
 * A pod's /etc/resolv.conf by its dnsPolicy and dnsConfig, as the kubelet makes it (resolv.conf(5) for the format and
 * its bounds). Pure. What does not fit or cannot be right is left out and told as a problem, which in Kubernetes is a
 * `DNSConfigForming` event.
 */
import { isIP } from 'node:net';
import type { PodDNSConfig } from 'kubernetes-types/core/v1.js';

export interface ResolvConf {
  nameservers: string[];
  search: string[];
  /** `ndots:5`, `edns0`. */
  options: string[];
}

export interface PodResolvConfInput {
  /** ClusterFirst (when left out), ClusterFirstWithHostNet, Default or None. */
  dnsPolicy?: string;
  dnsConfig?: PodDNSConfig;
  namespace: string;
  /** `cluster.local`. */
  domain: string;
  /** `10.96.0.10`, and one of the other family where the cluster's DNS has one. */
  clusterDns: readonly string[];
  /** Text of the host's file. */
  hostResolvConf: string;
  hostNetwork: boolean;
}

const NAMESERVER_LIMIT = 3;
const SEARCH_LIMIT = 32;
const SEARCH_LIMIT_CHARACTERS = 2048;

/** Reads a resolv.conf: the last `search` or `domain` line counts, lines that are none of these are passed over. */
export function parseResolvConf(text: string): ResolvConf {
  const conf: ResolvConf = { nameservers: [], search: [], options: [] };
  for (const line of text.split('\n')) {
    const [keyword, ...values] = line.trim().split(/\s+/);
    if (keyword === 'nameserver' && values[0]) conf.nameservers.push(values[0]);
    else if (keyword === 'search') conf.search = values.map(withoutDot);
    else if (keyword === 'domain' && values[0]) conf.search = [withoutDot(values[0])];
    else if (keyword === 'options') conf.options.push(...values);
  }
  return conf;
}

/** Of the cluster's DNS addresses, those of the families that the pod has. */
export function serversFor(pod: readonly string[], clusterDns: readonly string[]): string[] {
  return clusterDns.filter((server) => pod.some((address) => isIP(address) === isIP(server)));
}

export function podResolvConf(input: PodResolvConfInput): { text: string; problems: string[] } {
  const problems: string[] = [];
  const conf = baseConf(input, problems);
  appendConfig(conf, input.dnsConfig ?? {}, problems);
  conf.nameservers = unique(conf.nameservers);
  conf.search = unique(conf.search);
  bound(conf, problems);
  if (conf.nameservers.length === 0) problems.push('no name server is left: the pod cannot resolve any name');
  const lines = [
    ...(conf.search.length > 0 ? [`search ${conf.search.join(' ')}`] : []),
    ...conf.nameservers.map((address) => `nameserver ${address}`),
    ...(conf.options.length > 0 ? [`options ${conf.options.join(' ')}`] : []),
  ];
  return { text: lines.map((line) => `${line}\n`).join(''), problems };
}

function baseConf(input: PodResolvConfInput, problems: string[]): ResolvConf {
  const { dnsPolicy = 'ClusterFirst', hostNetwork, namespace, domain, clusterDns } = input;
  const host = parseResolvConf(input.hostResolvConf);
  const empty = { nameservers: [], search: [], options: [] };
  if (dnsPolicy === 'None') return empty;
  if (dnsPolicy === 'Default' || (dnsPolicy === 'ClusterFirst' && hostNetwork)) {
    if (!hostNetwork && host.nameservers.some((address) => address.startsWith('127.') || address === '::1')) {
      problems.push("the host's name server is on its loopback, which is another one in the pod: it will not answer");
    }
    return host;
  }
  if (dnsPolicy !== 'ClusterFirst' && dnsPolicy !== 'ClusterFirstWithHostNet') {
    problems.push(`dnsPolicy ${JSON.stringify(dnsPolicy)} is unknown: ClusterFirst is used`);
  }
  const own = [`${namespace}.svc.${domain}`, `svc.${domain}`, domain];
  return { nameservers: [...clusterDns], search: [...own, ...host.search], options: ['ndots:5'] };
}

/** Name servers and search paths are appended, an option replaces that of its name. */
function appendConfig(conf: ResolvConf, config: PodDNSConfig, problems: string[]): void {
  for (const address of config.nameservers ?? []) {
    if (isIP(address) !== 0) conf.nameservers.push(address);
    else problems.push(`dnsConfig.nameservers: ${JSON.stringify(address)} is not an IP address: left out`);
  }
  for (const path of config.searches ?? []) {
    if (isToken(path)) conf.search.push(withoutDot(path));
    else problems.push(`dnsConfig.searches: ${JSON.stringify(path)} is not a domain name: left out`);
  }
  for (const { name = '', value } of config.options ?? []) {
    const option = value ? `${name}:${value}` : name;
    if (!isToken(option) || !isToken(name)) {
      problems.push(`dnsConfig.options: ${JSON.stringify(option)} is not an option: left out`);
      continue;
    }
    conf.options = [...conf.options.filter((other) => other.split(':')[0] !== name), option];
  }
}

/** glibc ignores what exceeds these bounds without a word. */
function bound(conf: ResolvConf, problems: string[]): void {
  if (conf.nameservers.length > NAMESERVER_LIMIT) {
    const dropped = conf.nameservers.splice(NAMESERVER_LIMIT);
    problems.push(`more than ${NAMESERVER_LIMIT} name servers: left out ${dropped.join(' ')}`);
  }
  let characters = -1;
  const fitting = conf.search.findIndex((path, i) => {
    characters += path.length + 1;
    return i >= SEARCH_LIMIT || characters > SEARCH_LIMIT_CHARACTERS;
  });
  if (fitting >= 0) {
    const dropped = conf.search.splice(fitting);
    const most = `${SEARCH_LIMIT} search paths or ${SEARCH_LIMIT_CHARACTERS} characters`;
    problems.push(`more than ${most}: left out ${dropped.join(' ')}`);
  }
}

/** One word: nothing that would begin another value or line of the file. */
function isToken(text: string): boolean {
  return /^[^\s#;]+$/.test(text);
}

/** `example.com.` and `example.com` are one path; the root stays what it is. */
function withoutDot(path: string): string {
  return path.length > 1 && path.endsWith('.') ? path.slice(0, -1) : path;
}

function unique(values: readonly string[]): string[] {
  return [...new Set(values)];
}
