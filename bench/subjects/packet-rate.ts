/** Subject: how many 64-byte datagrams per second arrive while the client pod sends as fast as it can. */
import type { Subject } from '../contest.ts';
import { flood, PAYLOAD_BYTES } from './datagram-flood.ts';

export function packetRate(seconds: number): Subject {
  return {
    name: 'flood',
    rows: [
      {
        name: 'flood',
        title: `UDP flood, ${PAYLOAD_BYTES}-byte payload, received`,
        unit: 'kpps',
        better: 'higher',
      },
    ],
    seconds: seconds + 0.5,
    async measure(path) {
      const { receivedPerSecond, sentPerSecond } = await flood(path, seconds);
      return {
        values: { flood: receivedPerSecond / 1000 },
        detail: { sentKpps: sentPerSecond / 1000 },
        packets: receivedPerSecond * seconds,
      };
    },
  };
}
