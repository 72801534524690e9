/**
 * Sixth stage: a service's packet gets the addresses and ports that its connection is translated to: those of the
 * other direction's key, mirrored. Checksums follow incrementally (RFC 1624). Where the checksum is left to the
 * device, its field holds the pseudo-header's sum alone, uncomplemented: addresses count there, ports do not.
 */
import { PACKET_FLAG } from '../../io/vector.ts';
import { setU16, setU32, u16, u32 } from '../../wire/bytes.ts';
import { adjust32, partialAdjust32 } from '../../wire/checksum.ts';
import * as ipv4 from '../../wire/ipv4.ts';
import * as ipv6 from '../../wire/ipv6.ts';
import * as extension from '../../wire/ipv6-extension.ts';
import * as tcp from '../../wire/tcp.ts';
import * as udp from '../../wire/udp.ts';
import { isIpv6, KIND, PENDING } from '../batch.ts';
import type { Context } from '../context.ts';
import { FLOW, FLOW_WORDS, NO_FLOW, STATE } from '../flow-record.ts';

export function translate(c: Context, from: number, to: number): void {
  const { batch } = c;
  for (let i = from; i < to; i++) {
    if (batch.verdict[i] === PENDING) translatePacket(c, i);
  }
}

/** Translates packet `i` if it belongs to a translated connection. */
export function translatePacket(c: Context, i: number): void {
  const record = c.batch.flow[i];
  if (record === NO_FLOW) return;
  const state = c.flows.words[(record & ~1) * FLOW_WORDS + FLOW.state];
  if ((state & STATE.translated) === 0) return;
  if (isIpv6(c, i)) rewrite6(c, i, (record ^ 1) * FLOW_WORDS);
  else rewrite(c, i, (record ^ 1) * FLOW_WORDS);
}

function rewrite(c: Context, i: number, twin: number): void {
  const { batch, vector } = c;
  const w = c.flows.words;
  const b = vector.arena;
  const l3 = batch.l3[i];
  const l4 = batch.l4[i];
  const source = w[twin + 7] >>> 0;
  const destination = w[twin + 3] >>> 0;
  const oldSource = ipv4.source(b, l3);
  const oldDestination = ipv4.destination(b, l3);
  ipv4.setHeaderChecksum(
    b,
    l3,
    adjust32(adjust32(ipv4.headerChecksum(b, l3), oldSource, source), oldDestination, destination),
  );
  ipv4.setSource(b, l3, source);
  ipv4.setDestination(b, l3, destination);
  if (batch.kind[i] === KIND.fragment) {
    // From whom they now come, others come too, numbered by somebody else (RFC 6864, 4.1).
    if (source !== oldSource) ipv4.adjustIdentification(b, l3, batch.fragmentId[i] & 0xffff);
    if (ipv4.fragmentOffsetBytes(b, l3) !== 0) return;
  }
  const isTcp = batch.protocol[i] === ipv4.PROTOCOL.tcp;
  const oldPorts = u32(b, l4);
  const ports = ((w[twin + FLOW.ports] << 16) | (w[twin + FLOW.ports] >>> 16)) >>> 0;
  setU32(b, l4, ports);
  const at = l4 + (isTcp ? tcp.CHECKSUM_OFFSET : udp.CHECKSUM_OFFSET);
  const field = u16(b, at);
  if ((vector.flags[i] & PACKET_FLAG.checksumPartial) !== 0) {
    setU16(b, at, partialAdjust32(partialAdjust32(field, oldSource, source), oldDestination, destination));
  } else if (isTcp || field !== 0) {
    const check = adjust32(adjust32(adjust32(field, oldSource, source), oldDestination, destination), oldPorts, ports);
    // A UDP checksum of 0 would say that there is none.
    setU16(b, at, check === 0 && !isTcp ? 0xffff : check);
  }
}

/** The same for IPv6, whose header has no checksum of its own. */
function rewrite6(c: Context, i: number, twin: number): void {
  const { batch, vector } = c;
  const w = c.flows.words;
  const b = vector.arena;
  const l3 = batch.l3[i];
  const l4 = batch.l4[i];
  const isTcp = batch.protocol[i] === ipv4.PROTOCOL.tcp;
  const partial = (vector.flags[i] & PACKET_FLAG.checksumPartial) !== 0;
  const at = l4 + (isTcp ? tcp.CHECKSUM_OFFSET : udp.CHECKSUM_OFFSET);
  const fragment = batch.kind[i] === KIND.fragment ? l4 - extension.FRAGMENT_BYTES : 0;
  const headless = fragment > 0 && extension.fragmentOffsetBytes(b, fragment) !== 0;
  const field = headless ? 0 : u16(b, at);
  let check = field;
  let moved = 0;
  for (let k = 0; k < 4; k++) {
    const oldSource = ipv6.sourceWord(b, l3, k);
    const source = w[twin + 4 + k] >>> 0;
    const oldDestination = ipv6.destinationWord(b, l3, k);
    const destination = w[twin + k] >>> 0;
    moved |= source ^ oldSource;
    ipv6.setSourceWord(b, l3, k, source);
    ipv6.setDestinationWord(b, l3, k, destination);
    check = partial
      ? partialAdjust32(partialAdjust32(check, oldSource, source), oldDestination, destination)
      : adjust32(adjust32(check, oldSource, source), oldDestination, destination);
  }
  if (fragment > 0 && moved !== 0) extension.setIdentification(b, fragment, batch.fragmentId[i]);
  if (headless) return;
  const oldPorts = u32(b, l4);
  const ports = ((w[twin + FLOW.ports] << 16) | (w[twin + FLOW.ports] >>> 16)) >>> 0;
  setU32(b, l4, ports);
  if (partial) {
    setU16(b, at, check);
  } else if (isTcp || field !== 0) {
    check = adjust32(check, oldPorts, ports);
    setU16(b, at, check === 0 && !isTcp ? 0xffff : check);
  }
}
