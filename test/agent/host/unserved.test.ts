/** Why nobody stands behind a port, in the words of who wrote the service. */
import t from 'tap';
import { whyUnserved } from '../../../src/agent/host/unserved.ts';
import { PodIndex } from '../../../src/control/pod-index.ts';
import type { Service } from '../../../src/kube/objects.ts';
import { hosta, modelOf, pod, service } from '../../control/sample-objects.ts';

function why(spec: Partial<Service['spec']>, isWritten = false): string {
  const labels = { app: 'web' };
  const unready = { conditions: [{ type: 'Ready', status: 'False' }] };
  const model = modelOf(
    hosta,
    pod('a', { labels }),
    pod('b', { labels: { app: 'db' }, status: unready }),
    pod('c', { labels: { app: 'db' }, status: unready }),
    pod('d', { labels, namespace: 'other' }),
  );
  return whyUnserved(
    service('x', spec),
    { port: 80, targetPort: 'http' },
    new PodIndex(model.pods.values()),
    isWritten,
  );
}

t.test('each reason', async (t) => {
  t.equal(why({ selector: { app: 'none' } }), 'no pod in namespace default has the labels app=none');
  t.equal(why({ selector: { app: 'db' } }), '2 pods have the labels app=db, but none is ready');
  t.equal(why({ selector: { app: 'web' } }), '1 pod has the labels app=web, but no container port is named http');
  t.equal(why({}), 'it has no selector, and no Endpoints or EndpointSlice say who stands behind it');
  t.equal(why({}, true), 'its Endpoints or EndpointSlices name nobody who is ready for it');
  t.match(
    why({ selector: { app: 'db' }, publishNotReadyAddresses: true }),
    /^2 pods have .*no container port is named/,
  );
});
