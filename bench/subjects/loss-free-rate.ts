/**
 * Subject: the highest paced rate of 64-byte datagrams that loses at most 1 %. Fairer than a flood, which starves
 * whoever shares two processors with the sender. The search begins at what gets through of a flood, finds a rate that
 * passes and one that does not, and halves what is between them, as a ratio.
 */
import type { Path, Subject } from '../contest.ts';
import { flood, PAYLOAD_BYTES } from './traffic.ts';

const LOSS_AT_MOST = 0.01;
/** A loss up to this much may be one unlucky moment: tried once more. */
const LOSS_IN_DOUBT = 0.05;
/** A sender that cannot keep the pace says nothing about that pace. */
const PACE_AT_LEAST = 0.97;
const STRIDE = 1.5;
const PRECISION = 1.03;
const STEPS = 10;

export function lossFreeRate(stepSeconds = 0.5): Subject {
  return {
    name: 'loss-free',
    rows: [
      { name: 'loss-free', title: `UDP at 1 % loss, ${PAYLOAD_BYTES}-byte payload`, unit: 'kpps', better: 'higher' },
    ],
    seconds: STEPS * (stepSeconds + 0.25),
    async measure(path: Path) {
      const unpaced = await flood(path, { seconds: stepSeconds });
      let packets = unpaced.sent * (1 - unpaced.loss);
      const passes = async (rate: number) => {
        for (let attempt = 1; ; attempt++) {
          const { loss, sent, sentPerSecond } = await flood(path, { seconds: stepSeconds, perSecond: rate });
          packets += sent * (1 - loss);
          if (loss <= LOSS_AT_MOST) return sentPerSecond >= rate * PACE_AT_LEAST;
          if (loss > LOSS_IN_DOUBT || attempt === 2) return false;
        }
      };
      let [low, high] = [0, Number.POSITIVE_INFINITY];
      let rate = Math.max(1000, unpaced.receivedPerSecond * 0.9);
      for (let step = 0; step < STEPS && high / low > PRECISION; step++) {
        if (await passes(rate)) low = rate;
        else high = rate;
        if (low === 0) rate = high / STRIDE;
        else rate = Number.isFinite(high) ? Math.sqrt(low * high) : low * STRIDE;
      }
      return {
        values: { 'loss-free': low / 1000 },
        detail: { unpacedKpps: unpaced.receivedPerSecond / 1000 },
        packets,
        bytes: packets * PAYLOAD_BYTES,
      };
    },
  };
}
