/** The waits between a container's ends and its starts. */
import t from 'tap';
import { FIRST_RESTART_MS, isRestarted, MAX_WAIT_MS, newBackOff, nextStart } from '../../../src/agent/pods/back-off.ts';

t.test('the first restart is quick, then 10 s doubling to 300 s after each end', async (t) => {
  let state = newBackOff();
  let now = 1_000_000;
  const waits: number[] = [];
  for (let i = 0; i < 9; i++) {
    const next = nextStart(state, now);
    waits.push(next.atMs - now);
    t.equal(next.crashLoop, i > 0);
    state = next.state;
    now = next.atMs + 5;
  }
  t.same(waits, [FIRST_RESTART_MS, 10_000, 20_000, 40_000, 80_000, 160_000, MAX_WAIT_MS, MAX_WAIT_MS, MAX_WAIT_MS]);
});

t.test('ten quiet minutes begin anew', async (t) => {
  let state = nextStart(newBackOff(), 0).state;
  state = nextStart(state, 2000).state;
  const soon = nextStart(state, state.raisedAtMs + 2 * MAX_WAIT_MS);
  t.equal(soon.atMs - (state.raisedAtMs + 2 * MAX_WAIT_MS), 20_000, 'not yet quiet for long enough');
  const late = state.raisedAtMs + 2 * MAX_WAIT_MS + 1;
  t.equal(nextStart(state, late).atMs, late + FIRST_RESTART_MS);
  t.equal(nextStart(nextStart(state, late).state, late + 2000).atMs, late + 2000 + 10_000);
});

t.test('restart policies', async (t) => {
  t.equal(isRestarted('Always', 0), true);
  t.equal(isRestarted('OnFailure', 0), false);
  t.equal(isRestarted('OnFailure', 137), true);
  t.equal(isRestarted('Never', 1), false);
});
