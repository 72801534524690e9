/**
 * A name's records wherever they are: in the zone, at the upstreams, or in the zone first and then, along an alias, at
 * the upstreams. What the responder, the completion of names and the explanation of names share.
 */
import { answerQuestion, failure, type ZoneAnswer } from './answer.ts';
import { RCODE, TYPE } from './codes.ts';
import type { Reply } from './encode.ts';
import type { AnswerSource, Resolver } from './resolver.ts';
import type { Zone } from './zone.ts';

export interface Found {
  reply: Reply;
  source: AnswerSource;
}

export function isAddressType(type: number): boolean {
  return type === TYPE.a || type === TYPE.aaaa;
}

/** Precondition: `key` is writable, `type` an address type. */
export async function lookUp(zone: Zone, resolver: Resolver, key: string, type: number): Promise<Found> {
  const answer = answerQuestion(zone, key, type);
  return answer ? followAlias(resolver, answer, type) : lookUpOutside(resolver, key, type);
}

/** The zone's answer, with the addresses of the name outside that an alias led to. */
export async function followAlias(resolver: Resolver, answer: ZoneAnswer, type: number): Promise<Found> {
  const { outside } = answer;
  if (outside === undefined || !isAddressType(type)) return { reply: answer, source: 'zone' };
  const tail = await lookUpOutside(resolver, outside, type);
  const { rcode, answers } = tail.reply;
  return { reply: { ...answer, rcode, answers: [...answer.answers, ...answers] }, source: tail.source };
}

export async function lookUpOutside(resolver: Resolver, key: string, type: number): Promise<Found> {
  const named = await resolver.addresses(key, type);
  const known = named && (named.rcode === RCODE.noError || named.rcode === RCODE.nxDomain);
  const reply = { ...failure(known ? named.rcode : RCODE.servFail), answers: named?.records ?? [] };
  return { reply, source: named?.source ?? 'upstream' };
}
