/** The way of a packet that the dataplane made itself: an answer goes back the way the packet that caused it came. */
import { FORWARDED } from './batch.ts';
import type { Context } from './context.ts';
import { DROP } from './drop-reasons.ts';
import { encapsulate } from './stages/encap.ts';

/** Sends packet `i`, complete in itself, back to where packet `cause` came from. */
export function sendBack(c: Context, i: number, cause: number): void {
  const { batch, vector } = c;
  const peer = batch.fromPeer[cause];
  const port = vector.inPort[cause];
  if (peer >= 0) {
    encapsulate(c, i, peer);
  } else if (port >= 0 && c.attached[port] === 1) {
    vector.outPort[i] = port;
    batch.verdict[i] = FORWARDED;
    c.counters.sent(port, 1, vector.length[i]);
  } else {
    batch.verdict[i] = DROP['port-gone'];
  }
}

/** Room for `lengthBytes` of an answer whose L4 header stands `ipBytes` behind its start, or -1. */
export function appendAnswer(c: Context, lengthBytes: number, ipBytes: number, protocol: number): number {
  const { vector, batch } = c;
  const i = vector.append(lengthBytes);
  if (i < 0) {
    c.counters.drops[DROP['vector-full']]++;
    return -1;
  }
  batch.l3[i] = vector.offset[i];
  batch.l4[i] = vector.offset[i] + ipBytes;
  batch.fromPeer[i] = -1;
  batch.protocol[i] = protocol;
  return i;
}
