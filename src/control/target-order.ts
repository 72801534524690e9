/**
 * The order in which a host goes round a service's targets: shuffled by host and service, so that hosts do not all
 * begin with the same one, and a matter of the set alone: the same targets in another order change nothing.
 */
import { word4 } from '../wire/address.ts';
import type { PortTarget } from './model.ts';
import { mix } from './name-hash.ts';

export function shuffleTargets(targets: readonly PortTarget[], seed: number): readonly PortTarget[] {
  return targets
    .map((target) => ({ target, rank: mix(mix(word4(target.address) ^ seed) + target.port) }))
    .sort(
      (a, b) => a.rank - b.rank || word4(a.target.address) - word4(b.target.address) || a.target.port - b.target.port,
    )
    .map(({ target }) => target);
}

/** Equal exactly when the sets are equal. Targets in (address, port) order, as the model has them. */
export function targetSet(targets: readonly PortTarget[]): string {
  let text = '';
  for (const t of targets) text += `${targetKey(t)} `;
  return text;
}

/** Names one target. */
export function targetKey(target: PortTarget): string {
  return `${word4(target.address)}:${target.port}`;
}
