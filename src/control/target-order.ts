/**
 * The order in which a host goes round a service's targets: shuffled by host and service, so that hosts do not all
 * begin with the same one, and a matter of the set alone: the same targets in another order change nothing.
 */
import { isV4, type Words, word4 } from '../wire/address.ts';
import type { PortTarget } from './model.ts';
import { mix } from './name-hash.ts';

export function shuffleTargets(targets: readonly PortTarget[], seed: number): readonly PortTarget[] {
  return targets
    .map((target) => ({ target, rank: rankOf(target, seed) }))
    .sort(
      (a, b) => a.rank - b.rank || compareWords(a.target.address, b.target.address) || a.target.port - b.target.port,
    )
    .map(({ target }) => target);
}

function rankOf({ address, port }: PortTarget, seed: number): number {
  // The words that are the same for all of IPv4 count nothing.
  const [a, b, c, d] = address;
  const high = a === 0 && b === 0 ? 0 : mix(mix(mix(a) ^ b) ^ c);
  return mix(mix(d ^ high ^ seed) + port);
}

/** Equal exactly when the sets are equal. Targets in (address, port) order, as the model has them. */
export function targetSet(targets: readonly PortTarget[]): string {
  let text = '';
  for (const t of targets) text += t.weight === undefined ? `${targetKey(t)} ` : `${targetKey(t)}*${t.weight} `;
  return text;
}

/** Names one target. */
export function targetKey({ address, port }: Pick<PortTarget, 'address' | 'port'>): string {
  return `${address[0] === 0 && address[1] === 0 ? address[3] : address.join()}:${port}`;
}

/** In the order of addresses, IPv4 in its mapped form. */
export function compareWords(a: Words, b: Words): number {
  if (isV4(a) && isV4(b)) return word4(a) - word4(b);
  for (let i = 0; i < 4; i++) {
    const difference = ((a[i] as number) >>> 0) - ((b[i] as number) >>> 0);
    if (difference !== 0) return difference;
  }
  return 0;
}
