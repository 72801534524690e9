/** Subject: how many 64-byte datagrams per second arrive while the client pod sends as fast as it can. */
import type { Subject } from '../contest.ts';
import { flood, PAYLOAD_BYTES } from './datagram-flood.ts';

export function packetRate(seconds: number, target: number): Subject {
  return {
    name: 'flood',
    title: `UDP flood, ${PAYLOAD_BYTES}-byte payload, received`,
    unit: 'kpps',
    better: 'higher',
    target,
    async measure(client, server) {
      const { receivedPerSecond, sentPerSecond } = await flood(client, server, seconds);
      return { value: receivedPerSecond / 1000, detail: { sentKpps: sentPerSecond / 1000 } };
    },
  };
}
