/** The kubectl on PATH; all that are here in the slow suite. */
import t from 'tap';
import { findKubectls } from '../../../apiserver/kubectl.ts';
import { tryForwards } from './kubectl-forward.ts';
import { tryStreams } from './kubectl-streams.ts';

const kubectls = findKubectls().filter(({ name }) => name === 'kubectl');

t.test('kubectl', { skip: kubectls.length === 0 && 'no kubectl is on PATH', timeout: 110_000 }, (t) =>
  tryStreams(t, kubectls),
);

t.test('kubectl port-forward', { skip: kubectls.length === 0 && 'no kubectl is on PATH', timeout: 110_000 }, (t) =>
  tryForwards(t, kubectls),
);
