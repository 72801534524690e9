/**
 * What happens when a pod looks a name up: every candidate that its resolver would try, in order, each with its answer,
 * until one exists. Asks what the server asks; for `weft dns explain`.
 */
import { type CompletionContext, type CompletionStep, completable, completeName } from './autopath.ts';
import { RCODE, rcodeName, TYPE } from './codes.ts';
import { type Found, lookUp, lookUpOutside } from './lookup.ts';
import { isWritableName } from './name.ts';
import { recordData } from './record.ts';
import { type Candidate, candidatesOf, type PodPath } from './search-path.ts';

export interface ExplainedAnswer {
  type: 'A' | 'AAAA';
  rcode: string;
  /** `CNAME www.example.com`, `A 192.0.2.7`. */
  records: readonly string[];
  source: string;
  ms: number;
}

export interface ExplainedTry extends Candidate {
  /** Empty where the name cannot be asked for. */
  answers: readonly ExplainedAnswer[];
  found: boolean;
}

export interface Explanation {
  pod: string;
  name: string;
  nameservers: readonly string[];
  search: readonly string[];
  ndots: number;
  /** False: the pod asks other servers; what those say of names in the cluster is not known here. */
  asksUs: boolean;
  /** Up to the one that was found; all where none was. */
  tries: readonly ExplainedTry[];
  /** What the server does for the first of them, where it does anything. */
  completion: readonly CompletionStep[];
  /** The first question is answered already. */
  completed: boolean;
}

export interface ExplainContext extends CompletionContext {
  clusterDns: readonly string[];
}

export async function explainName(context: ExplainContext, path: PodPath, name: string): Promise<Explanation> {
  const asksUs = context.clusterDns.includes(path.nameservers[0] ?? '');
  const tries: ExplainedTry[] = [];
  for (const candidate of candidatesOf(name, path)) {
    const tried = await tryCandidate(context, candidate, asksUs);
    tries.push(tried);
    if (tried.found) break;
  }
  const first = tries[0]?.name ?? '';
  const base = asksUs && !tries[0]?.found ? completable(context.zone, path, first, TYPE.a) : undefined;
  const completion = base === undefined ? undefined : await completeName(context, path, first, base, TYPE.a);
  const { pod, nameservers, search, ndots } = path;
  return {
    pod,
    name,
    nameservers,
    search,
    ndots,
    asksUs,
    tries,
    completion: completion?.steps ?? [],
    completed: completion?.found !== undefined,
  };
}

async function tryCandidate(context: ExplainContext, candidate: Candidate, asksUs: boolean): Promise<ExplainedTry> {
  const { zone, resolver } = context;
  if (!isWritableName(candidate.name)) return { ...candidate, answers: [], found: false };
  const answers: ExplainedAnswer[] = [];
  let found = false;
  for (const type of ['A', 'AAAA'] as const) {
    const began = performance.now();
    const number = type === 'A' ? TYPE.a : TYPE.aaaa;
    const { reply, source }: Found = asksUs
      ? await lookUp(zone, resolver, candidate.name, number)
      : await lookUpOutside(resolver, candidate.name, number);
    const records = reply.answers.map(recordData);
    found ||= reply.rcode === RCODE.noError && reply.answers.some((record) => record.type === number);
    answers.push({ type, rcode: rcodeName(reply.rcode), records, source, ms: performance.now() - began });
  }
  return { ...candidate, answers, found };
}
