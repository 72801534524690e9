/** Whose processor time it was, from /proc as the kernel writes it. */
import t from 'tap';
import { disturbance, loadBetween, machineTime, processTime, secondsOfOthers } from '../../bench/interference.ts';

t.test('/proc/stat: idle and waiting are not busy, steal is neither', async (t) => {
  const stat = 'cpu  100 20 30 9000 500 4 6 250 0 0\ncpu0 1 2 3 4 5 6 7 8 0 0\n';
  t.strictSame(machineTime(stat), { busy: 1.6, stolen: 2.5 });
});

t.test('/proc/PID/stat: a name may hold brackets and spaces', async (t) => {
  const fields = 'S 7 1 1 0 -1 4194560 10 20 30 40 150 50 25 75 20 0 1 0';
  t.strictSame(processTime(`42 (a) b) ${fields}`), { pid: 42, parent: 7, kernel: false, seconds: 3 });
  t.equal(processTime('9 (ksoftirqd/0) S 2 0 0 0 -1 69238848 0 0 0 0 5 5 0 0 20 0 1 0').kernel, true);
});

t.test('others are who neither descends from us nor is the kernel', async (t) => {
  const process = (pid: number, parent: number, seconds: number, kernel = false) => ({ pid, parent, seconds, kernel });
  const all = [
    process(1, 0, 1),
    process(2, 0, 100, true),
    process(10, 1, 20),
    process(50, 1, 300), // ours
    process(51, 50, 4000),
    process(52, 51, 50_000),
    process(60, 10, 3),
  ];
  t.equal(secondsOfOthers(all, 50), 24);
  t.equal(secondsOfOthers([process(5, 5, 7)], 50), 7, 'its own parent');
});

t.test('load', async (t) => {
  const before = { at: 100, busy: 10, stolen: 1, others: 5 };
  const load = loadBetween(before, { at: 102, busy: 13, stolen: 1.1, others: 5.5 });
  t.match(load, { seconds: 2, busySeconds: 3 });
  t.equal(disturbance(load), 0.25);
  t.equal(loadBetween(before, { at: 101, busy: 10, stolen: 1, others: 2 }).otherCores, 0, 'never below nothing');
});
