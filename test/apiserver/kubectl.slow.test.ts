/** Every kubectl that is on this machine. */
import t from 'tap';
import { findKubectls } from './kubectl.ts';
import { tryKubectls } from './kubectl-session.ts';

const kubectls = findKubectls();

t.test('kubectl', { skip: kubectls.length === 0 && 'no kubectl is on this machine', timeout: 300_000 }, (t) =>
  tryKubectls(t, kubectls),
);
