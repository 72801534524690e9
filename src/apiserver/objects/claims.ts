/**
 * What one object at a time can have: a service's address, a node port, a node's range. Each is a key of its own beside
 * the objects, `/registry/ranges/serviceips/10.96.0.5`, with its owner as value, and is written on condition that it was
 * not there, by the same transaction as the object: so nothing is given twice, however many servers create at once and
 * whenever one of them ends. It goes with the object, or with the change that gives it up.
 */
import type { Violation } from '../../kube/violation.ts';
import type { ApiObject } from '../api-object.ts';
import type { Allocation, Claim } from '../kinds/allocation.ts';
import { storeKey } from '../kinds/resource.ts';
import { type Condition, prefixRange, type Store, type StoredValue, type Write } from '../store/store.ts';
import { invalid, type ObjectPlace } from './object-errors.ts';

export const CLAIMS_PREFIX = '/registry/ranges/';
/** With its object, and what an update gives up, it has to fit into one transaction of etcd's: 128 operations. */
export const MOST_CLAIMS = 60;
/** So often the next free place is tried before the whole range is read, again and again while others take theirs. */
const GUESSES = 4;
const PAGE = 2000;

/** One object's way to what it wants: filled in, tried, and filled in again where another was quicker. */
export class Claiming {
  readonly #store: Store;
  readonly #place: ObjectPlace;
  readonly #allocation: Allocation | undefined;
  readonly #taken = new Set<string>();
  /** What the writer asked for by name: nothing else will do. All of it, where nothing is filled in. */
  #asked: Set<string> | undefined;
  #guesses = 0;

  constructor(store: Store, place: ObjectPlace) {
    this.#store = store;
    this.#place = place;
    this.#allocation = place.resource.allocation;
  }

  /** Changes the object. Throws ApiError Invalid where something cannot be had. */
  fill(object: ApiObject, old: ApiObject | undefined): void {
    const allocation = this.#allocation;
    if (!allocation) return;
    this.#asked = new Set(allocation.claims(object).map(({ name }) => name));
    const violations = allocation.fill?.(object, old, (name) => this.#taken.has(name)) ?? [];
    const count = allocation.claims(object).length;
    if (count > MOST_CLAIMS) {
      const message = `has ${count} addresses and ports that no other object can have, more than ${MOST_CLAIMS}`;
      violations.push({ path: ['spec'], message });
    }
    if (violations.length > 0) throw invalid(this.#place.resource, this.#place.name, violations);
  }

  /** What a change of the object wants to have, and gives up. `next` undefined: it is deleted. */
  async change(
    current: ApiObject | undefined,
    next: ApiObject | undefined,
  ): Promise<{ gained: readonly Claim[]; conditions: Condition[]; writes: Write[] }> {
    const before = (current && this.#allocation?.claims(current)) ?? [];
    const after = (next && this.#allocation?.claims(next)) ?? [];
    const gained = without(after, before);
    const lost = without(before, after);
    const owner = storeKey(this.#place.resource, this.#place.namespace, this.#place.name);
    const found = await Promise.all(lost.map((claim) => readClaim(this.#store, claim.name)));
    const own = lost.filter((_, i) => ownerOf(found[i]) === owner);
    return {
      gained,
      conditions: gained.map(({ name }) => ({ key: CLAIMS_PREFIX + name, modRevision: 0 })),
      writes: [
        ...gained.map(({ name }) => claimWrite(name, owner)),
        ...own.map(({ name }): Write => ({ type: 'delete', key: CLAIMS_PREFIX + name })),
      ],
    };
  }

  /**
   * Some of it is another's: `found` is what stands there, in the order of `gained`. Throws ApiError Invalid where the
   * writer asked for just that; otherwise the next fill() passes it over.
   */
  async refused(gained: readonly Claim[], found: readonly (StoredValue | undefined)[]): Promise<void> {
    const violations: Violation[] = [];
    const ranges = new Set<string>();
    gained.forEach(({ name, path, refusal }, i) => {
      if (!found[i]) return;
      this.#taken.add(name);
      ranges.add(rangeOf(name));
      if (!this.#asked || this.#asked.has(name))
        violations.push({ path, message: `${refusal}, to ${ownerOf(found[i])?.replace('/registry/', '')}` });
    });
    if (violations.length > 0) throw invalid(this.#place.resource, this.#place.name, violations);
    if (++this.#guesses % GUESSES !== 0) return;
    for (const range of ranges) {
      for await (const { name } of readClaims(this.#store, range)) this.#taken.add(name);
    }
  }

  /** For what is not written in the end: as refused() has it. */
  find(claims: readonly Claim[]): Promise<(StoredValue | undefined)[]> {
    return Promise.all(claims.map(({ name }) => readClaim(this.#store, name)));
  }
}

/** All claims, or those of a range: `serviceips/`. */
export async function* readClaims(
  store: Store,
  range = '',
): AsyncGenerator<{ name: string; owner: string; modRevision: number }> {
  const { from, to } = prefixRange(CLAIMS_PREFIX + range);
  for (let next = from; ; ) {
    const page = await store.range({ from: next, to, limit: PAGE });
    for (const stored of page.values) {
      const { key, modRevision } = stored;
      yield { name: key.slice(CLAIMS_PREFIX.length), owner: ownerOf(stored) ?? '', modRevision };
    }
    const last = page.values.at(-1);
    if (!page.more || !last) return;
    next = `${last.key}\x01`;
  }
}

export function claimWrite(name: string, owner: string): Write {
  // All that stands in the registry has metadata: who watches it need not know what this is.
  const value = { metadata: { name: name.slice(rangeOf(name).length) }, owner };
  return { type: 'put', key: CLAIMS_PREFIX + name, value: Buffer.from(JSON.stringify(value)) };
}

async function readClaim(store: Store, name: string): Promise<StoredValue | undefined> {
  const key = CLAIMS_PREFIX + name;
  return (await store.range({ from: key, to: `${key}\x01`, limit: 1 })).values[0];
}

/** The key of the object that has it. */
function ownerOf(stored: StoredValue | undefined): string | undefined {
  if (!stored) return undefined;
  try {
    return String((JSON.parse(Buffer.from(stored.value).toString('utf8')) as { owner?: unknown }).owner);
  } catch {
    // Somebody else's writing.
    return 'an unknown owner';
  }
}

function rangeOf(name: string): string {
  return name.slice(0, name.indexOf('/') + 1);
}

function without(all: readonly Claim[], others: readonly Claim[]): Claim[] {
  const names = new Set(others.map(({ name }) => name));
  return all.filter(({ name }) => !names.has(name));
}
