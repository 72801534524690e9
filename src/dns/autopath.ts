/**
 * Completes a name for a pod along its search path, on the server, so that `www.example.com` costs one question and
 * not four although the pod's file says `ndots:5`. A pod asks for the first candidate; where that does not exist, the
 * later ones are looked up here in its order, and the first that exists is its answer, by an alias:
 *
 *   asked     www.example.com.default.svc.cluster.local
 *   answered  www.example.com.default.svc.cluster.local CNAME www.example.com, and its addresses
 *
 * Where none is found the answer stays NXDOMAIN, and the pod goes on by itself as without this.
 */
import { answerQuestion } from './answer.ts';
import { RCODE, rcodeName, TYPE } from './codes.ts';
import type { Reply } from './encode.ts';
import type { Forwarder } from './forwarder.ts';
import { type Found, followAlias, isAddressType, lookUpOutside } from './lookup.ts';
import { isWithin, isWritableName } from './name.ts';
import type { DnsRecord } from './record.ts';
import type { Resolver } from './resolver.ts';
import { candidatesOf, type SearchPath, searchedName } from './search-path.ts';
import type { Zone } from './zone.ts';

export interface CompletionContext {
  zone: Zone;
  resolver: Resolver;
  forwarder: Forwarder;
  /** How long upstreams may keep the pod from going on by itself. */
  waitMs?: number;
}

/** A candidate and what came of it: an rcode's name, or why it was not asked. */
export interface CompletionStep {
  name: string;
  result: string;
}

export interface Completion {
  /** Nothing: the answer stays what it was. */
  found: Found | undefined;
  steps: CompletionStep[];
}

const WAIT_MS = 400;

/** The name to complete, where the question is one that a resolver with this path asks first. */
export function completable(zone: Zone, path: SearchPath, key: string, type: number): string | undefined {
  if (!isAddressType(type) || !isWithin(key, zone.domain)) return undefined;
  return searchedName(key, path);
}

export async function completeName(
  context: CompletionContext,
  path: SearchPath,
  key: string,
  name: string,
  type: number,
): Promise<Completion> {
  const { zone, resolver, forwarder, waitMs = WAIT_MS } = context;
  const steps: CompletionStep[] = [];
  const giveUp = (candidate: string, result: string): Completion => {
    steps.push({ name: candidate, result });
    return { found: undefined, steps };
  };
  const deadline = performance.now() + waitMs;
  for (const { name: candidate } of candidatesOf(name, path).slice(1)) {
    if (!isWritableName(candidate)) return giveUp(candidate, 'not a domain name');
    const own = answerQuestion(zone, candidate, type);
    let pending: Promise<Found>;
    if (own && own.outside === undefined) pending = Promise.resolve({ reply: own, source: 'zone' });
    else if (!candidate.includes('.')) {
      // No top-level domain has addresses; a service that is not there is not asked for around the world.
      return giveUp(candidate, 'not asked: a single label');
    } else if (!forwarder.isWell(own?.outside ?? candidate)) return giveUp(candidate, 'not asked: no upstream answers');
    else pending = own ? followAlias(resolver, own, type) : lookUpOutside(resolver, candidate, type);
    const found = await within(pending, deadline - performance.now());
    if (!found) return giveUp(candidate, 'no answer in time');
    const { reply } = found;
    steps.push({ name: candidate, result: rcodeName(reply.rcode) });
    if (reply.rcode === RCODE.nxDomain) continue;
    // Somebody failed: only the pod can go on, and it must not take a later candidate for this one.
    if (reply.rcode !== RCODE.noError) return { found: undefined, steps };
    return { found: { ...found, reply: aliased(key, candidate, reply, zone.ttlSeconds) }, steps };
  }
  return { found: undefined, steps };
}

function aliased(key: string, target: string, reply: Reply, ttlSeconds: number): Reply {
  const alias: DnsRecord = { type: TYPE.cname, owner: key, ttlSeconds, target };
  return { ...reply, authoritative: true, answers: [alias, ...reply.answers] };
}

async function within<T>(pending: Promise<T>, waitMs: number): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const patience = new Promise<undefined>((resolve) => {
    timer = setTimeout(resolve, Math.max(0, waitMs), undefined);
  });
  try {
    return await Promise.race([pending, patience]);
  } finally {
    clearTimeout(timer);
  }
}
