/** Bodies in Kubernetes' protobuf form become the JSON that the same client would have sent; bad ones are refused. */
import protobuf from 'protobufjs/minimal.js';
import t from 'tap';
import { ApiError } from '../../../src/apiserver/api-error.ts';
import { readProtobuf } from '../../../src/apiserver/rest/protobuf-body.ts';
import { mutated, randomFrom } from '../../dns/mutate.ts';

/** As kubectl 1.33 sent it: `kubectl create deployment web --image=nginx --replicas=2 --port=80`. */
const DEPLOYMENT = Buffer.from(
  'azhzAAoVCgdhcHBzL3YxEgpEZXBsb3ltZW50ErgBCh8KA3dlYhIAGgAiACoAMgA4AEIAWgoKA2FwcBIDd2ViEoYBCAISDAoKCgNhcHASA3dlYhpsChwKABIAGgAiACoAMgA4AEIAWgoKA2FwcBIDd2ViEkwSLgoFbmdpbngSBW5naW54KgAyCgoAEAAYUCIAKgBCAGoAcgCAAQCIAQCQAQCiAQAaADIAQgBKAFIAWABgAGgAggEAigEAmgEAwgEAIgIKACgAOAAaDAgAEAAYACAAKAA4ABoAIgA=',
  'base64',
);

/** And `kubectl debug node/a --image=busybox --container=d --attach=false`. */
const NODE_DEBUGGER = Buffer.from(
  'azhzAAoJCgJ2MRIDUG9kEsYBCiUKFW5vZGUtZGVidWdnZXItYS10OHpycRIAGgAiACoAMgA4AEIAEocBChIKCWhvc3Qtcm9vdBIFCgMKAS8SPgoBZBIHYnVzeWJveCoAQgBKGAoJaG9zdC1yb290EAAaBS9ob3N0IgAyAGoAcgCAAQCIAQCQAQCiAQRGaWxlGgVOZXZlcjIAQgBKAFIBYVgBYAFoAYIBAIoBAJoBALIBDgoAEgZFeGlzdHMaACIAwgEAGhMKABoAIgAqADIASgBaAHIAiAEAGgAiAA==',
  'base64',
);

type Body = Record<string, unknown>;

/** An envelope around an object's bytes. */
function envelope(apiVersion: string, kind: string, raw: Uint8Array): Buffer {
  const writer = protobuf.Writer.create();
  writer.uint32(10).fork().uint32(10).string(apiVersion).uint32(18).string(kind).ldelim();
  writer.uint32(18).bytes(raw).uint32(26).string('').uint32(34).string('');
  return Buffer.concat([Buffer.from('k8s\0'), writer.finish()]);
}

/** A message of fields by their numbers; texts, whole numbers, messages. */
function message(...fields: [number, string | number | Uint8Array][]): Uint8Array {
  const writer = protobuf.Writer.create();
  for (const [number, value] of fields) {
    if (typeof value === 'number') writer.uint32(number << 3).int32(value);
    else if (typeof value === 'string') writer.uint32((number << 3) | 2).string(value);
    else writer.uint32((number << 3) | 2).bytes(value);
  }
  return writer.finish();
}

t.test('what kubectl sends', async (t) => {
  t.same(readProtobuf(DEPLOYMENT), {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'web', labels: { app: 'web' } },
    spec: {
      replicas: 2,
      selector: { matchLabels: { app: 'web' } },
      template: {
        metadata: { labels: { app: 'web' } },
        spec: { containers: [{ name: 'nginx', image: 'nginx', ports: [{ containerPort: 80 }] }] },
      },
    },
  });
});

t.test('volumes', async (t) => {
  const mount = { name: 'host-root', mountPath: '/host' };
  t.same(readProtobuf(NODE_DEBUGGER), {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'node-debugger-a-t8zrq' },
    spec: {
      volumes: [{ name: 'host-root', hostPath: { path: '/' } }],
      containers: [{ name: 'd', image: 'busybox', volumeMounts: [mount], terminationMessagePolicy: 'File' }],
      restartPolicy: 'Never',
      nodeName: 'a',
      hostNetwork: true,
      hostPID: true,
      hostIPC: true,
      tolerations: [{ operator: 'Exists' }],
    },
  });
  const volume = (name: string, field: number, source: Uint8Array) =>
    message([1, message([1, name], [2, message([field, source])])]);
  const item = message([1, 'k'], [2, 'p'], [3, 256]);
  const from = message([1, message([1, 'm'])], [2, item], [4, 1]);
  const token = message([2, 3600], [3, 'token']);
  const field = message([1, 'labels'], [2, message([1, 'v1'], [2, 'metadata.labels'])]);
  const sources = [message([3, from]), message([4, token]), message([2, message([1, field])])];
  const projected = message(...sources.map((source): [number, Uint8Array] => [1, source]), [2, 420]);
  const volumes = Buffer.concat([
    volume('e', 2, message([1, 'Memory'], [2, message([1, '1Mi'])])),
    volume('s', 6, message([1, 'm'], [3, 0])),
    volume('c', 19, message([1, message([1, 'm'])], [2, item])),
    volume('p', 26, projected),
    volume('d', 10, message([1, 'www-web-0'])),
  ]);
  const items = [{ key: 'k', path: 'p', mode: 256 }];
  t.same(readProtobuf(envelope('v1', 'Pod', message([2, volumes]))).spec, {
    volumes: [
      { name: 'e', emptyDir: { medium: 'Memory', sizeLimit: '1Mi' } },
      { name: 's', secret: { secretName: 'm', defaultMode: 0 } },
      { name: 'c', configMap: { name: 'm', items } },
      {
        name: 'p',
        projected: {
          sources: [
            { configMap: { name: 'm', items, optional: true } },
            { serviceAccountToken: { expirationSeconds: 3600, path: 'token' } },
            {
              downwardAPI: {
                items: [{ path: 'labels', fieldRef: { apiVersion: 'v1', fieldPath: 'metadata.labels' } }],
              },
            },
          ],
          defaultMode: 420,
        },
      },
      { name: 'd', persistentVolumeClaim: { claimName: 'www-web-0' } },
    ],
  });
  const unknown = () => readProtobuf(envelope('v1', 'Pod', message([2, volume('n', 7, message([1, 'server']))])));
  t.throws(unknown, { reason: 'UnsupportedMediaType', message: /field 7 of VolumeSource/ });
});

t.test('what kubectl debug --copy-to copies of a container: probes with defaults, hooks', async (t) => {
  const probe = message([1, message([4, message([1, 5], [2, ''])])], [3, 1], [4, 10]);
  const hooks = message([2, message([4, message([1, 3])])]);
  const container = message([1, 'c'], [10, probe], [12, hooks]);
  t.same(readProtobuf(envelope('v1', 'Pod', message([2, message([2, container])]))).spec, {
    containers: [
      {
        name: 'c',
        livenessProbe: { grpc: { port: 5, service: '' }, timeoutSeconds: 1, periodSeconds: 10 },
        lifecycle: { preStop: { sleep: { seconds: 3 } } },
      },
    ],
  });
});

t.test('pointers keep their nought, others leave it out; maps take any key', async (t) => {
  // DeploymentSpec: replicas 0, a pointer; minReadySeconds 0, none.
  const spec = protobuf.Writer.create().uint32(8).int32(0).uint32(40).int32(0).finish();
  const label = protobuf.Writer.create().uint32(10).string('__proto__').uint32(18).string('x').finish();
  const metadata = protobuf.Writer.create().uint32(10).string('web').uint32(90).bytes(label).finish();
  const raw = protobuf.Writer.create().uint32(10).bytes(metadata).uint32(18).bytes(spec).finish();
  const body = readProtobuf(envelope('apps/v1', 'Deployment', raw));
  t.same(body.spec, { replicas: 0 });
  const { labels } = body.metadata as { labels: Body };
  t.same(Object.entries(labels), [['__proto__', 'x']], 'a plain key');
  t.equal(({} as Body).x, undefined);
});

t.test('what is not in the table is refused, not lost', async (t) => {
  const refused = (raw: Uint8Array, kind: string, message: RegExp) =>
    t.throws(() => readProtobuf(envelope('v1', kind, raw)), { reason: 'UnsupportedMediaType', message });
  refused(new Uint8Array(), 'Secret', /v1 Secret is read as JSON only/);
  const wrong = envelope('v1', 'ConfigMap', protobuf.Writer.create().uint32(8).int32(1).finish());
  t.throws(() => readProtobuf(wrong), { reason: 'BadRequest', message: /ConfigMap.metadata: is of wire type 0/ });
  refused(protobuf.Writer.create().uint32(98).string('x').finish(), 'ConfigMap', /field 12 of ConfigMap/);
});

t.test('20,000 damaged bodies end as answers', async (t) => {
  const random = randomFrom(4711);
  let read = 0;
  for (let n = 0; n < 20_000; n++) {
    const bytes = mutated(DEPLOYMENT, random);
    try {
      readProtobuf(bytes);
      read++;
    } catch (error) {
      if (!(error instanceof ApiError)) t.fail(`${error} for ${bytes.toString('base64')}`);
    }
  }
  t.ok(read > 1000 && read < 19_000, `some are harmless, some not: ${read}`);
});

t.test('a profile of kubectl debug, and where a copied pod may run', async (t) => {
  const capabilities = message([1, 'NET_ADMIN'], [2, 'ALL']);
  const context = message([1, capabilities], [2, 1], [11, message([1, 'RuntimeDefault'])]);
  const source = message([1, 'P_'], [2, message([1, message([1, 'settings'])], [2, 0])]);
  const container = message([1, 'debugger'], [15, context], [19, source]);
  const selector = message([1, message([1, 'app'], [2, 'web'])]);
  const antiAffinity = message([1, message([1, selector], [3, 'kubernetes.io/hostname'])]);
  const group = message([4, 2000], [10, message([1, 'RuntimeDefault'])]);
  const spec = message([2, container], [14, group], [18, message([3, antiAffinity])]);
  t.same(readProtobuf(envelope('v1', 'Pod', message([2, spec]))).spec, {
    containers: [
      {
        name: 'debugger',
        securityContext: {
          capabilities: { add: ['NET_ADMIN'], drop: ['ALL'] },
          privileged: true,
          seccompProfile: { type: 'RuntimeDefault' },
        },
        envFrom: [{ prefix: 'P_', configMapRef: { name: 'settings', optional: false } }],
      },
    ],
    securityContext: { supplementalGroups: [2000], seccompProfile: { type: 'RuntimeDefault' } },
    affinity: {
      podAntiAffinity: {
        requiredDuringSchedulingIgnoredDuringExecution: [
          { labelSelector: { matchLabels: { app: 'web' } }, topologyKey: 'kubernetes.io/hostname' },
        ],
      },
    },
  });
});
