/** What an earlier agent left of pods that nobody wants any more, or not as they were: how it is ended and removed. */
import { rmSync } from 'node:fs';
import { basename } from 'node:path';
import { endLeft } from './container.ts';
import { removePodNetwork } from './pod-network.ts';
import { netnsName } from './pod-plan.ts';
import type { PodState } from './pod-state.ts';

export async function removeLeftPod(directory: string, state: PodState, graceMs: number): Promise<void> {
  await Promise.all(state.containers.map((c) => endLeft(c, graceMs)));
  if (state.netns) await removePodNetwork(state.netns);
  rmSync(directory, { recursive: true, force: true });
}

/** Of one whose state cannot be read only the names are known, by those of its folder. */
export async function removeDamagedPod(directory: string): Promise<void> {
  const [namespace, name] = basename(directory).split('_');
  if (namespace && name) await removePodNetwork(netnsName(namespace, name)).catch(() => {});
  rmSync(directory, { recursive: true, force: true });
}
