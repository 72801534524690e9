/** Which program stands for an image, and how a container's command and arguments go with it. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { BUILT_IN_IMAGES, containerCommand, findImage, readImageMap } from '../../../src/agent/pods/image-map.ts';

const root = mkdtempSync(join(tmpdir(), 'weft-images-'));
t.teardown(() => rmSync(root, { recursive: true, force: true }));

t.test('names match with any registry, tag and digest', async (t) => {
  const nginx = BUILT_IN_IMAGES.get('nginx');
  const names = [
    'nginx',
    'nginx:1.25',
    'docker.io/library/nginx',
    'localhost:5000/nginx',
    'r.example/a/nginx:1@sha256:0a',
  ];
  for (const name of names) t.equal(findImage(name, BUILT_IN_IMAGES), nginx, name);
  for (const name of ['nginx-extra', 'mynginx', 'nginx/other', '', 'constructor', 'registry.example:5000/x']) {
    t.equal(findImage(name, BUILT_IN_IMAGES), undefined, name);
  }
});

t.test('command and args take the places that they have in Kubernetes', async (t) => {
  const of = (image: string | undefined, command?: string[], args?: string[]) =>
    containerCommand(
      { name: 'c', ...(image ? { image } : {}), ...(command ? { command } : {}), ...(args ? { args } : {}) },
      BUILT_IN_IMAGES,
    );
  t.same(of('busybox'), ['sh']);
  t.same(of('busybox:1.36', undefined, ['sleep', '1']), ['sleep', '1']);
  t.same(of('busybox', ['sh', '-c'], ['true']), ['sh', '-c', 'true']);
  t.same(of('registry.k8s.io/e2e-test-images/agnhost:2.47'), ['weft', 'image', 'agnhost', 'pause']);
  t.same(of('agnhost', undefined, ['netexec', '--http-port=80']), [
    'weft',
    'image',
    'agnhost',
    'netexec',
    '--http-port=80',
  ]);
  t.same(of('agnhost', ['/agnhost', 'connect'], ['a:1']), ['weft', 'image', 'agnhost', 'connect', 'a:1']);
  t.same(of('registry.k8s.io/pause:3.9'), ['sleep', 'infinity']);
  const bootcamp = 'gcr.io/google-samples/kubernetes-bootcamp:v1';
  t.same(of(bootcamp), ['weft', 'image', 'hello', 'kubernetes-bootcamp']);
  t.same(of('curlimages/curl', undefined, ['curl', '-s', 'web']), ['curl', '-s', 'web']);
  t.same(of('shop/web', ['run']), ['run'], 'a command needs no image');
  t.equal(of('shop/web', undefined, ['x']), undefined);
  t.equal(of(undefined), undefined);
});

t.test('a file adds images and goes before the built-in ones', async (t) => {
  const file = join(root, 'images.yaml');
  writeFileSync(file, 'shop/web:1.0: [python3, -m, http.server]\nnginx: [own]\n');
  const images = readImageMap(file);
  t.same(containerCommand({ name: 'c', image: 'r.example/shop/web:2', args: ['80'] }, images), [
    'python3',
    '-m',
    'http.server',
    '80',
  ]);
  t.same(containerCommand({ name: 'c', image: 'nginx' }, images), ['own']);
  t.equal(findImage('web', images), undefined);
  t.same(containerCommand({ name: 'c', image: 'busybox' }, images), ['sh']);
  for (const bad of ['[a]', 'a: b', 'a: []', 'a: [1]', 'a: {', '']) {
    writeFileSync(file, bad);
    t.throws(() => readImageMap(file), { code: 'bad-option' }, bad);
  }
  t.throws(() => readImageMap(join(root, 'none.yaml')), { message: /^--images .*ENOENT/ });
});
