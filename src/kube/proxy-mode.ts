/**
 * How a service's connections find their endpoint, as people write it: for an agent (`--proxy-mode`) and for one
 * service (annotation). The names are kube-proxy's and those of the kernel's IPVS (ip_vs(4) schedulers).
 */

export const PROXY_MODE_ANNOTATION = 'weft.dev/proxy-mode';
export const IPVS_SCHEDULER_ANNOTATION = 'weft.dev/ipvs-scheduler';

export const PROXY_MODES = ['failover', 'userspace', 'iptables', 'ipvs'] as const;
export const IPVS_SCHEDULERS = ['rr', 'wrr', 'lc', 'wlc', 'sh', 'dh', 'sed', 'nq', 'mh'] as const;

export type ProxyMode = (typeof PROXY_MODES)[number];
export type IpvsScheduler = (typeof IPVS_SCHEDULERS)[number];

export interface ProxyWish {
  mode: ProxyMode;
  /** Where one is written: `ipvs:wlc`. */
  scheduler?: IpvsScheduler;
}

/** `failover`, `ipvs`, `ipvs:wlc`; undefined for anything else. */
export function parseProxyMode(text: string): ProxyWish | undefined {
  const [name, scheduler, ...more] = text.split(':');
  const mode = PROXY_MODES.find((known) => known === name);
  if (!mode || more.length > 0) return undefined;
  if (scheduler === undefined) return { mode };
  const found = parseIpvsScheduler(scheduler);
  return mode === 'ipvs' && found ? { mode, scheduler: found } : undefined;
}

export function parseIpvsScheduler(text: string): IpvsScheduler | undefined {
  return IPVS_SCHEDULERS.find((known) => known === text);
}
