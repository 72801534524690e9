/** Commands that are run for a program: one that does not end in time ends whole. */
import t from 'tap';
import { run } from '../../src/lab/run.ts';

t.test('what a command began ends with it when its time is over', async (t) => {
  const entry = { file: 'sh', args: [], env: process.env };
  // Three deep; the last would hold the pipe for a minute.
  const result = await run(entry, ['-c', 'sh -c "sh -c \\"sleep 60; true\\"; true"; true'], { timeoutMs: 300 });
  t.equal(result.code, 137);
  t.ok(result.ms < 10_000, `${result.ms} ms`);
});
