/** Probes by a clock of the test: when they run, what they decide, which one waits for which. */
import type { Probe } from 'kubernetes-types/core/v1.js';
import t from 'tap';
import type { Outcome } from '../../../src/agent/pods/container-action.ts';
import { ContainerProbes, type Timers } from '../../../src/agent/pods/container-probes.ts';

class FakeTimers implements Timers {
  #now = 0;
  #due: { atMs: number; work: () => void }[] = [];
  now = () => this.#now;
  after = (ms: number, work: () => void) => {
    const entry = { atMs: this.#now + ms, work };
    this.#due.push(entry);
    return () => {
      this.#due = this.#due.filter((each) => each !== entry);
    };
  };
  async advance(ms: number): Promise<void> {
    const end = this.#now + ms;
    for (;;) {
      // Attempts end in microtasks.
      for (let i = 0; i < 10; i++) await Promise.resolve();
      const next = this.#due.filter((each) => each.atMs <= end).sort((a, b) => a.atMs - b.atMs)[0];
      if (!next) break;
      this.#due = this.#due.filter((each) => each !== next);
      this.#now = next.atMs;
      next.work();
    }
    this.#now = end;
  }
}

const startup: Probe = { exec: { command: ['startup'] }, periodSeconds: 10, failureThreshold: 2 };
const readiness: Probe = { exec: { command: ['readiness'] }, periodSeconds: 10 };
const liveness: Probe = { exec: { command: ['liveness'] }, periodSeconds: 5, failureThreshold: 3 };

function probes(settings: { startupProbe?: Probe; readinessProbe?: Probe; livenessProbe?: Probe }) {
  const timers = new FakeTimers();
  const outcome: Record<string, boolean> = { startup: true, readiness: true, liveness: true };
  const attempts: string[] = [];
  const said: string[] = [];
  const attempt = async (probe: Probe): Promise<Outcome> => {
    const name = probe.exec?.command?.[0] as string;
    attempts.push(`${name} ${timers.now()}`);
    return { ok: outcome[name] as boolean, message: 'no' };
  };
  const tell = (what: string) => said.push(`${what} ${timers.now()}`);
  const all = new ContainerProbes(
    settings,
    attempt,
    {
      started: () => tell('started'),
      ready: (ready) => tell(ready ? 'ready' : 'unready'),
      unhealthy: (kind) => tell(`unhealthy ${kind}`),
      failed: (kind) => tell(`failed ${kind}`),
    },
    timers,
  );
  return { all, timers, outcome, attempts, said };
}

t.test('without probes a container is ready when it runs', async (t) => {
  const { all, said } = probes({});
  all.start();
  t.same(said, ['started 0', 'ready 0']);
});

t.test('readiness: soon after the start at first, then by the period and the thresholds', async (t) => {
  const { all, timers, outcome, attempts, said } = probes({ readinessProbe: readiness });
  outcome.readiness = false;
  all.start();
  await timers.advance(250);
  t.same(attempts, ['readiness 0', 'readiness 100']);
  t.same(said, ['started 0', 'unready 0', 'unhealthy Readiness 0'], 'early tries do not count');
  outcome.readiness = true;
  await timers.advance(50);
  t.same(said.slice(3), ['ready 300']);
  outcome.readiness = false;
  await timers.advance(30_000);
  t.same(said.slice(4), [
    'unhealthy Readiness 10000',
    'unhealthy Readiness 20000',
    'unhealthy Readiness 30000',
    'unready 30000',
  ]);
  outcome.readiness = true;
  await timers.advance(10_000);
  t.same(said.slice(8), ['ready 40000']);
  all.stop();
  await timers.advance(60_000);
  t.equal(attempts.at(-1), 'readiness 40000', 'nothing runs after the end');
});

t.test('nothing else runs before the startup probe succeeds', async (t) => {
  const { all, timers, outcome, attempts, said } = probes({
    startupProbe: { ...startup, initialDelaySeconds: 2, failureThreshold: 10 },
    readinessProbe: readiness,
    livenessProbe: liveness,
  });
  outcome.startup = false;
  all.start();
  await timers.advance(8000);
  t.ok(attempts.every((each) => each.startsWith('startup')));
  t.equal(attempts[0], 'startup 2000');
  outcome.startup = true;
  await timers.advance(6000);
  t.match(said.slice(-3), [/^started/, /^unready/, /^ready/]);
  const started = Number(said.find((each) => each.startsWith('started'))?.split(' ')[1]);
  await timers.advance(1);
  t.ok(attempts.includes(`liveness ${started}`));
  t.ok(said.includes(`ready ${started}`));
});

t.test('a startup probe that fails too often ends the run', async (t) => {
  const { all, timers, outcome, said } = probes({ startupProbe: startup, readinessProbe: readiness });
  outcome.startup = false;
  all.start();
  await timers.advance(60_000);
  t.same(said, ['unhealthy Startup 0', 'unhealthy Startup 10000', 'failed Startup 10000']);
});

t.test('a liveness probe that fails too often in a row ends the run, once', async (t) => {
  const { all, timers, outcome, said } = probes({ livenessProbe: liveness });
  all.start();
  await timers.advance(5000);
  outcome.liveness = false;
  await timers.advance(10_000);
  outcome.liveness = true;
  await timers.advance(5000);
  t.notOk(
    said.some((each) => each.startsWith('failed')),
    'not in a row',
  );
  outcome.liveness = false;
  await timers.advance(60_000);
  t.same(
    said.filter((each) => each.startsWith('failed')),
    ['failed Liveness 35000'],
  );
});

t.test('a run that is being ended is still asked whether it is ready', async (t) => {
  const { all, timers, outcome, said } = probes({ readinessProbe: readiness, livenessProbe: liveness });
  outcome.liveness = false;
  all.start();
  await timers.advance(12_000);
  t.ok(said.includes('failed Liveness 10000'));
  outcome.readiness = false;
  await timers.advance(30_000);
  t.equal(said.at(-1), 'unready 40000');
  all.stop();
});

t.test('a period that is longer than a timer can wait is none of a millisecond', async (t) => {
  let attempts = 0;
  const probe = { ...liveness, periodSeconds: 3_000_000 };
  const events = { started: () => {}, ready: () => {}, unhealthy: () => {}, failed: () => {} };
  const all = new ContainerProbes({ livenessProbe: probe }, async () => ({ ok: ++attempts > 0, message: '' }), events);
  all.start();
  await new Promise((done) => setTimeout(done, 60));
  all.stop();
  t.equal(attempts, 1);
});

t.test('what an earlier agent knew holds until a probe says otherwise', async (t) => {
  const { all, timers, outcome, attempts, said } = probes({ startupProbe: startup, readinessProbe: readiness });
  outcome.readiness = false;
  all.start({ started: true, ready: true });
  t.same(said, ['started 0', 'ready 0']);
  await timers.advance(20_000);
  t.ok(attempts.every((each) => each.startsWith('readiness')));
  t.equal(said.at(-1), 'unready 20000', 'by the threshold');
});
