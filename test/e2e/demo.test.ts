/** End to end: `weft demo`, whole. How fast the machine is beside what else it does is for bench/ to judge. */
import t from 'tap';
import type { CheckResult } from '../../src/lab/demo-checks.ts';
import { noLab, ownHome, weft } from './test-lab.ts';

t.test('demo', { skip: noLab(), timeout: 200_000 }, async (t) => {
  ownHome();
  const { code, stdout, stderr } = await weft(['demo', '-o', 'json'], { timeoutMs: 180_000 });
  t.equal(stderr, '');
  const { results, seconds } = JSON.parse(stdout) as { results: CheckResult[]; seconds: number };
  t.equal(results.length, 10);
  for (const { check, ok, result, figure } of results) {
    const line = `${check}: ${result} ${figure}`;
    if (check.startsWith('TCP stream')) t.match(figure, /^\d+\.\d\d of the kernel's$/, line);
    else t.ok(ok, line);
  }
  t.equal(code, results.every((result) => result.ok) ? 0 : 1);
  t.comment(`${seconds.toFixed(1)} s`);
  t.match(await weft(['lab', 'list']), { stdout: /^no labs/ }, 'the lab is down');
});
