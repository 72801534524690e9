/** What a server serves, as it says itself: also where a part of it is another server that is away. */
import t from 'tap';
import { type ApiClient, ApiRequestError } from '../../src/kube/api-client.ts';
import { Discovery } from '../../src/kube/discovery.ts';

const ANSWERS: Record<string, object> = {
  '/api/v1': { resources: [{ name: 'pods', singularName: 'pod', kind: 'Pod', namespaced: true, shortNames: ['po'] }] },
  '/apis': {
    groups: [
      { name: 'metrics.k8s.io', versions: [{ version: 'v1beta1' }] },
      { name: 'apps', versions: [{ version: 'v1' }] },
    ],
  },
  '/apis/apps/v1': {
    resources: [
      { name: 'deployments', kind: 'Deployment' },
      { name: 'deployments/scale', kind: 'Scale' },
    ],
  },
};

function discovery(refusal: ApiRequestError): Discovery {
  const get = async (path: string): Promise<object> => {
    const answer = ANSWERS[path];
    if (answer) return answer;
    throw refusal;
  };
  return new Discovery({ get } as unknown as ApiClient);
}

t.test('a group whose server is away keeps nobody from the others', async (t) => {
  const found = discovery(new ApiRequestError(503, 'ServiceUnavailable', 'service unavailable'));
  t.match(await found.find('deployments.apps'), { kind: 'Deployment', group: 'apps' });
  t.equal(await found.find('podmetrics'), undefined);
});

t.test('what is refused is said', async (t) => {
  const found = discovery(new ApiRequestError(403, 'Forbidden', 'forbidden'));
  t.match(await found.find('po'), { kind: 'Pod' }, 'as far as nothing else is asked');
  await t.rejects(found.find('deploy'), { message: 'forbidden' });
});
