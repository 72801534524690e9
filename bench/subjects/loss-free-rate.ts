/**
 * Subject: the highest rate of 64-byte datagrams that loses at most 1 %. Fairer than a flood, which starves whoever
 * shares two processors with the sender.
 */
import type { Path, Subject } from '../contest.ts';
import { flood, PAYLOAD_BYTES } from './datagram-flood.ts';

const LOSS_AT_MOST = 0.01;
const SECONDS = 0.8;
const STEPS = 6;

export function lossFreeRate(): Subject {
  return {
    name: 'loss-free',
    rows: [
      { name: 'loss-free', title: `UDP at 1 % loss, ${PAYLOAD_BYTES}-byte payload`, unit: 'kpps', better: 'higher' },
    ],
    seconds: STEPS * (SECONDS + 0.5),
    async measure(path: Path) {
      let low = 0;
      let high = 600_000;
      for (let step = 0; step < STEPS; step++) {
        const middle = (low + high) / 2;
        const { loss, sentPerSecond } = await flood(path, SECONDS, middle);
        // A sender that cannot keep the pace says nothing about that pace.
        if (loss <= LOSS_AT_MOST && sentPerSecond > middle * 0.95) low = middle;
        else high = middle;
      }
      return { values: { 'loss-free': low / 1000 } };
    },
  };
}
