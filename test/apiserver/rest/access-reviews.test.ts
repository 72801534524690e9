/** What somebody may do, asked instead of tried: the same answers, for every role; nothing is kept. */
import t from 'tap';
import { TestServer } from '../test-server.ts';

const GROUP = '/apis/authorization.k8s.io/v1';
const ACCESS = `${GROUP}/selfsubjectaccessreviews`;

const ofResource = (verb: string, resource: string, more: Record<string, unknown> = {}) => ({
  spec: { resourceAttributes: { verb, resource, namespace: 'default', ...more } },
});
const ofPath = (verb: string, path: string) => ({ spec: { nonResourceAttributes: { verb, path } } });

t.test('each role is told what it may', async (t) => {
  const server = await TestServer.start(t);
  const expected: [string, unknown, string][] = [
    ['list pods', ofResource('list', 'pods'), 'admin viewer node-a'],
    ['get the log of a pod', ofResource('get', 'pods', { subresource: 'log', name: 'web' }), 'admin viewer'],
    ['get pods/exec', ofResource('get', 'pods', { subresource: 'exec', name: 'web' }), 'admin'],
    ['create pods/exec', ofResource('create', 'pods', { subresource: 'exec', name: 'web' }), 'admin'],
    ['create pods/portforward', ofResource('create', 'pods', { subresource: 'portforward' }), 'admin'],
    ['create pods', ofResource('create', 'pods'), 'admin'],
    ['delete a pod', ofResource('delete', 'pods', { name: 'web' }), 'admin node-a'],
    ['deletecollection pods', ofResource('deletecollection', 'pods'), 'admin'],
    ['patch the own node', ofResource('patch', 'nodes', { name: 'a', namespace: '' }), 'admin node-a'],
    ['patch another node', ofResource('patch', 'nodes', { name: 'b', namespace: '' }), 'admin'],
    ['what no request does', ofResource('constructor', 'nodes', { name: 'a', namespace: '' }), 'admin'],
    ['everything', ofResource('*', '*', { group: '*' }), 'admin'],
    ['get everything', ofResource('get', '*', { group: '*' }), 'admin'],
    ['get all of a pod', ofResource('get', 'pods', { subresource: '*' }), 'admin'],
    [
      'ask this',
      ofResource('create', 'selfsubjectaccessreviews', { group: 'authorization.k8s.io' }),
      'admin viewer nobody node-a',
    ],
    ['/version', ofPath('get', '/version'), 'admin viewer nobody node-a'],
    ['/api/v1', ofPath('get', '/api/v1'), 'admin viewer nobody node-a'],
    ['/metrics', ofPath('get', '/metrics'), 'admin viewer'],
    ['post /version', ofPath('post', '/version'), 'admin'],
  ];
  for (const [what, body, who] of expected) {
    const allowed: string[] = [];
    for (const token of ['admin', 'viewer', 'nobody', 'node-a']) {
      const answer = await server.ask('POST', ACCESS, body, { token });
      t.match(answer, { code: 201, body: { kind: 'SelfSubjectAccessReview', status: { allowed: Boolean } } });
      if (answer.body.status.allowed) allowed.push(token);
    }
    t.equal(allowed.join(' '), who, what);
  }
});

t.test('the rules of each role', async (t) => {
  const server = await TestServer.start(t);
  const rules = async (token: string) => {
    const body = { spec: { namespace: 'default' } };
    const answer = await server.ask('POST', `${GROUP}/selfsubjectrulesreviews`, body, { token });
    t.equal(answer.code, 201);
    const { resourceRules, ...rest } = answer.body.status;
    const verbsOf = (group: string, resource: string) =>
      resourceRules.find(
        (rule: { apiGroups: string[]; resources: string[] }) =>
          rule.apiGroups.includes(group) && rule.resources.includes(resource),
      )?.verbs;
    return { verbsOf, ...rest };
  };
  t.same((await rules('admin')).verbsOf('*', '*'), ['*']);
  const viewer = await rules('viewer');
  t.same(viewer.verbsOf('', 'pods'), ['get', 'list', 'watch']);
  t.same(viewer.verbsOf('', 'pods/log'), ['get']);
  t.equal(viewer.verbsOf('', 'pods/exec'), undefined);
  t.match(viewer, { nonResourceRules: [{ verbs: ['get'], nonResourceURLs: ['*'] }], incomplete: false });
  const nobody = await rules('nobody');
  t.same(nobody.verbsOf('authorization.k8s.io', 'selfsubjectrulesreviews'), ['create']);
  t.equal(nobody.verbsOf('', 'pods'), undefined);
  t.match(nobody.nonResourceRules[0].nonResourceURLs, ['/version', '/version/*']);
  const node = await rules('node-a');
  t.same(node.verbsOf('', 'pods/status'), ['get', 'patch', 'update']);
  t.match(node, { incomplete: true, evaluationError: /depends on the object/ });
});

t.test('everybody is told who they are here', async (t) => {
  const server = await TestServer.start(t);
  for (const version of ['v1', 'v1beta1']) {
    const path = `/apis/authentication.k8s.io/${version}/selfsubjectreviews`;
    for (const token of ['viewer', 'nobody']) {
      const { code, body } = await server.ask('POST', path, {}, { token });
      t.equal(code, 201);
      t.match(body, { kind: 'SelfSubjectReview', status: { userInfo: { username: token, groups: Array } } });
    }
  }
});

t.test('about others only administrators ask', async (t) => {
  const server = await TestServer.start(t);
  const path = `${GROUP}/subjectaccessreviews`;
  const { resourceAttributes } = ofResource('create', 'pods').spec;
  const ask = (subject: object, token = 'admin') =>
    server.ask('POST', path, { spec: { resourceAttributes, ...subject } }, { token });
  t.match(await ask({ user: 'ann', groups: ['system:masters'] }), { code: 201, body: { status: { allowed: true } } });
  t.match(await ask({ user: 'ann', groups: ['weft:viewers'] }), { code: 201, body: { status: { allowed: false } } });
  for (const token of ['viewer', 'nobody', 'node-a']) t.equal((await ask({ user: 'ann' }, token)).code, 403);
  t.match(await ask({}), { code: 400, body: { message: /name a user/ } });
  t.match(await ask({ groups: [1] }), { code: 400, body: { message: /spec.groups/ } });
});

t.test('they are in the discovery, and can only be asked', async (t) => {
  const server = await TestServer.start(t);
  const { groups } = (await server.get('/apis')).body;
  t.ok(groups.some(({ name }: { name: string }) => name === 'authorization.k8s.io'));
  t.match((await server.get('/apis/authorization.k8s.io')).body, { preferredVersion: { version: 'v1' } });
  t.match((await server.get(GROUP)).body.resources[0], {
    name: 'selfsubjectaccessreviews',
    namespaced: false,
    verbs: ['create'],
  });
  t.equal((await server.get(ACCESS)).code, 405);
  t.equal((await server.get(`${ACCESS}/x`)).code, 404);
  for (const [body, message] of [
    [{}, /one of resourceAttributes/],
    [{ spec: 7 }, /one of resourceAttributes/],
    [{ spec: { resourceAttributes: {}, nonResourceAttributes: {} } }, /one of resourceAttributes/],
    [{ spec: { resourceAttributes: { verb: 1 } } }, /verb is not a string/],
    ['[]', /not an object/],
  ] as const) {
    t.match(await server.ask('POST', ACCESS, body), { code: 400, body: { message } });
  }
  t.equal((await server.ask('POST', ACCESS, ofPath('get', '/'), { token: 'guess' })).code, 401);
  t.same(server.log, []);
});
