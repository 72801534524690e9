/** Subject: how many 64-byte datagrams per second arrive while the client pod sends as fast as it can. */
import type { Subject } from '../contest.ts';
import { flood, PAYLOAD_BYTES } from './traffic.ts';

export function packetRate(seconds: number, senders = 1): Subject {
  const name = senders === 1 ? 'flood' : `flood-${senders}`;
  const from = senders === 1 ? 'one sender' : `${senders} senders`;
  const title = `UDP flood, ${PAYLOAD_BYTES}-byte payload, ${from}, received`;
  return {
    name,
    rows: [
      { name, title, unit: 'kpps', better: 'higher' },
      { name: `${name}-loss`, title: `UDP flood, ${from}, lost`, unit: '%', better: 'lower' },
    ],
    seconds: seconds + 0.2,
    async measure(path) {
      const { receivedPerSecond, sentPerSecond, sent, loss } = await flood(path, { seconds, senders });
      return {
        values: { [name]: receivedPerSecond / 1000, [`${name}-loss`]: loss * 100 },
        detail: { sentKpps: sentPerSecond / 1000 },
        packets: sent * (1 - loss),
        bytes: sent * (1 - loss) * PAYLOAD_BYTES,
      };
    },
  };
}
