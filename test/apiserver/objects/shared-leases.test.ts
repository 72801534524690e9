/** Leases that many objects share: made once a minute, and anew where the store could not, or has lost one. */
import t from 'tap';
import { SharedLeases } from '../../../src/apiserver/objects/shared-leases.ts';

t.test('one a minute, which lasts long enough for the last of them', async (t) => {
  let nowMs = 0;
  const granted: number[] = [];
  let isAway = false;
  const grantLease = async (seconds: number) => {
    if (isAway) throw new Error('away');
    return `lease-${granted.push(seconds)}`;
  };
  const leases = new SharedLeases({ grantLease }, () => nowMs);
  t.same(await Promise.all([leases.lasting(3600), leases.lasting(3600)]), ['lease-1', 'lease-1']);
  nowMs = 59_999;
  t.equal(await leases.lasting(3600), 'lease-1');
  nowMs = 60_000;
  isAway = true;
  await t.rejects(leases.lasting(3600), { message: 'away' });
  isAway = false;
  t.equal(await leases.lasting(3600), 'lease-2');
  leases.forget();
  t.equal(await leases.lasting(3600), 'lease-3');
  t.same(granted, [3660, 3660, 3660]);
});
