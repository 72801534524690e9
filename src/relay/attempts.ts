/**
 * How often and how long one connection tries endpoints (kube-proxy, pkg/proxy/userspace/proxysocket.go,
 * EndpointDialTimeouts): silence is borne four times, a little longer each time; one that refuses at once costs no
 * time, so that those are passed over until all were met, within a bound.
 */
export const DIAL_TIMEOUTS_MS = [250, 500, 1000, 2000] as const;

const MOST_ATTEMPTS = 16;

/** How long the attempt after `made` others may take. */
export function dialTimeoutMs(made: number): number {
  return DIAL_TIMEOUTS_MS[Math.min(made, DIAL_TIMEOUTS_MS.length - 1)] as number;
}

/** Whether another attempt follows after `made` failed ones, the last of which was silent or refused. */
export function triesAgain(made: number, silent: boolean, endpoints: number): boolean {
  if (endpoints === 0) return false;
  const most = silent ? DIAL_TIMEOUTS_MS.length : Math.min(MOST_ATTEMPTS, Math.max(endpoints, DIAL_TIMEOUTS_MS.length));
  return made < most;
}
