/**
 * In which proxy mode a service is served: as its own annotations say, else as the agent is told. Userspace mode has
 * one endpoint in the tables, the relay's proxy port on this host's gateway; the relay knows the true ones.
 */
import {
  IPVS_SCHEDULER_ANNOTATION,
  type IpvsScheduler,
  PROXY_MODE_ANNOTATION,
  type ProxyMode,
  type ProxyWish,
  parseIpvsScheduler,
  parseProxyMode,
} from '../kube/proxy-mode.ts';
import type { Scheduler } from '../tables/services.ts';
import { isV4, type Words } from '../wire/address.ts';

/** What an agent is told: how services are served that do not say it. */
export interface ProxyDefaults {
  mode: ProxyMode;
  scheduler: IpvsScheduler;
}

export const DEFAULT_PROXY: ProxyDefaults = { mode: 'failover', scheduler: 'rr' };

const SCHEDULERS = { failover: 'failover', userspace: 'plain', iptables: 'random' } as const;

const NO_WISH: Partial<ProxyWish> = {};

/** What a Service's annotations ask for; validated before. A scheduler by itself stands for no mode. */
export function writtenProxy(annotations?: Readonly<Record<string, string>>): Partial<ProxyWish> {
  if (annotations === undefined) return NO_WISH;
  const wish = parseProxyMode(annotations[PROXY_MODE_ANNOTATION] ?? '');
  const scheduler = wish?.scheduler ?? parseIpvsScheduler(annotations[IPVS_SCHEDULER_ANNOTATION] ?? '');
  return { ...(wish ? { mode: wish.mode } : {}), ...(scheduler ? { scheduler } : {}) };
}

export function proxyModeOf(written: Partial<ProxyWish>, defaults: ProxyDefaults): ProxyMode {
  return written.mode ?? defaults.mode;
}

/** The scheduler of the service table. */
export function schedulerOf(written: Partial<ProxyWish>, defaults: ProxyDefaults): Scheduler {
  const mode = proxyModeOf(written, defaults);
  return mode === 'ipvs' ? (written.scheduler ?? defaults.scheduler) : SCHEDULERS[mode];
}

/** Names the proxy port of one service port, for virtual addresses of one family: `default/web TCP/80`. */
export function proxyPortKey(service: string, protocol: string, port: number, address: Words): string {
  return `${service} ${protocol}/${port}${isV4(address) ? '' : ' IPv6'}`;
}
