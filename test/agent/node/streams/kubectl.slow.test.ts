/** Every kubectl that is on this machine: by SPDY up to 1.29, by WebSockets from then on. */
import t from 'tap';
import { findKubectls } from '../../../apiserver/kubectl.ts';
import { tryForwards } from './kubectl-forward.ts';
import { tryStreams } from './kubectl-streams.ts';

const kubectls = findKubectls();

t.test('kubectl', { skip: kubectls.length === 0 && 'no kubectl is on this machine', timeout: 900_000 }, (t) =>
  tryStreams(t, kubectls),
);

t.test(
  'kubectl port-forward',
  { skip: kubectls.length === 0 && 'no kubectl is on this machine', timeout: 900_000 },
  (t) => tryForwards(t, kubectls),
);
