/**
 * When a container that ended is started again, as kubelet does it (pkg/kubelet/kubelet.go, MaxCrashLoopBackOff):
 * the first time as soon as it is noticed, then 10 s after its end, doubling to 300 s; a wait begins anew at 10 s
 * after ten quiet minutes. Pure; the caller holds the clock.
 */
export interface BackOff {
  /** The wait that applies to the next end; 0 before the first. */
  waitMs: number;
  /** When it was last raised, on the caller's clock. */
  raisedAtMs: number;
}

/** kubelet looks once a second for containers that ended. */
export const FIRST_RESTART_MS = 1000;
export const BASE_WAIT_MS = 10_000;
export const MAX_WAIT_MS = 300_000;
const QUIET_MS = 2 * MAX_WAIT_MS;

export function newBackOff(): BackOff {
  return { waitMs: 0, raisedAtMs: 0 };
}

/** When to start again a container that ended at `endedAtMs`; the second value is the state for the next time. */
export function nextStart(state: BackOff, endedAtMs: number): { atMs: number; crashLoop: boolean; state: BackOff } {
  const quiet = state.waitMs === 0 || endedAtMs - state.raisedAtMs > QUIET_MS;
  if (quiet) {
    const atMs = endedAtMs + FIRST_RESTART_MS;
    return { atMs, crashLoop: false, state: { waitMs: BASE_WAIT_MS, raisedAtMs: atMs } };
  }
  const atMs = endedAtMs + state.waitMs;
  return { atMs, crashLoop: true, state: { waitMs: Math.min(state.waitMs * 2, MAX_WAIT_MS), raisedAtMs: atMs } };
}

/** restartPolicy of a pod: whether a container that ended that way is started again. */
export function isRestarted(policy: 'Always' | 'OnFailure' | 'Never', exitCode: number): boolean {
  return policy === 'Always' || (policy === 'OnFailure' && exitCode !== 0);
}
