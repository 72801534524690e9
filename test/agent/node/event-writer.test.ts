/** Events of pods as `kubectl describe` shows them: repeats are counted, a flood is cut off, outages are passed over. */
import t, { type Test } from 'tap';
import { EventWriter } from '../../../src/agent/node/event-writer.ts';
import type { PodEvent } from '../../../src/agent/pods/pod.ts';
import { ApiClient } from '../../../src/kube/api-client.ts';
import { TestServer } from '../../apiserver/test-server.ts';
import { apiAccess, silentServer } from '../../kube/api-access.ts';

const EVENTS = '/api/v1/namespaces/default/events';

function happening(more: Partial<PodEvent> = {}): PodEvent {
  const pod = { namespace: 'default', name: 'web', uid: 'u' };
  return { ...pod, type: 'Warning', reason: 'BackOff', message: 'starts again', container: 'c', ...more };
}

function writerOf(t: Test, url: string, now = { ms: 1_700_000_000_000 }): EventWriter {
  const client = new ApiClient(apiAccess(url, 'node-a'));
  const writer = new EventWriter(client, 'a', () => now.ms);
  t.teardown(async () => {
    await writer.stop();
    client.close();
  });
  return writer;
}

interface EventObject {
  metadata: { name: string };
  message: string;
  count: number;
  [field: string]: unknown;
}

async function events(server: TestServer, count: number): Promise<EventObject[]> {
  const deadline = Date.now() + 10_000;
  for (;;) {
    const items = (await server.get(EVENTS)).body.items as EventObject[];
    const told = items.reduce((sum, event) => sum + event.count, 0);
    if (told >= count || Date.now() > deadline) return items;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

t.test('one object for what happens again and again', async (t) => {
  const server = await TestServer.start(t);
  const now = { ms: 1_700_000_000_000 };
  const writer = writerOf(t, server.url, now);
  writer.tell(happening());
  writer.tell(happening());
  writer.tell(happening({ message: 'other' }));
  const all = await events(server, 3);
  t.match(
    all.find(({ message }) => message === 'starts again'),
    {
      count: 2,
      type: 'Warning',
      reason: 'BackOff',
      firstTimestamp: '2023-11-14T22:13:20Z',
      involvedObject: { kind: 'Pod', name: 'web', namespace: 'default', uid: 'u', fieldPath: 'spec.containers{c}' },
      source: { component: 'weft-agent', host: 'a' },
    },
  );
  t.equal(all.length, 2);
  for (const { metadata } of all) await server.ask('DELETE', `${EVENTS}/${metadata.name}`);
  now.ms += 60_000;
  writer.tell(happening());
  const again = await events(server, 1);
  t.match(again, [{ count: 1, lastTimestamp: '2023-11-14T22:14:20Z' }], 'one that was forgotten is told anew');
});

t.test('what happens in one second is listed in its order, which is that of kubectl describe', async (t) => {
  const server = await TestServer.start(t);
  const writer = writerOf(t, server.url);
  const messages = Array.from({ length: 20 }, (_, i) => `m${i}`);
  for (const message of messages) writer.tell(happening({ message }));
  t.strictSame(
    (await events(server, 20)).map(({ message }) => message),
    messages,
  );
});

t.test('a pod that makes too much of it is heard less, others are heard', async (t) => {
  const server = await TestServer.start(t);
  const now = { ms: 1_700_000_000_000 };
  const writer = writerOf(t, server.url, now);
  for (let i = 0; i < 100; i++) writer.tell(happening({ message: `m${i}` }));
  t.equal(writer.dropped, 75);
  writer.tell(happening({ name: 'other', uid: 'v' }));
  t.equal((await events(server, 26)).length, 26);
  now.ms += 60_000;
  writer.tell(happening({ message: 'later' }));
  writer.tell(happening({ message: 'too soon' }));
  t.equal(writer.dropped, 76);
  now.ms -= 3600_000;
  writer.tell(happening({ name: 'other', uid: 'v', message: 'the clock was set back' }));
  t.equal(writer.dropped, 76, 'which mutes nobody');
});

t.test('what a manifest says at length is cut, a long name too', async (t) => {
  const server = await TestServer.start(t);
  const writer = writerOf(t, server.url);
  for (const end of ['a', 'b']) writer.tell(happening({ name: 'n'.repeat(253), message: 'x'.repeat(100_000) + end }));
  const [event, ...others] = await events(server, 2);
  t.match(event, { count: 2, message: 'x'.repeat(1024), involvedObject: { name: 'n'.repeat(253) } });
  t.strictSame(others, []);
});

t.test('a server that is away costs neither memory nor the process', async (t) => {
  const writer = writerOf(t, 'http://127.0.0.1:1');
  for (let i = 0; i < 2000; i++) writer.tell(happening({ uid: `${i}`, message: 'x'.repeat(5000) }));
  t.ok(writer.dropped >= 1400, `${writer.dropped} dropped`);
});

t.test('a server that never answers holds up no end', async (t) => {
  const writer = writerOf(t, await silentServer(t));
  writer.tell(happening());
  await new Promise((resolve) => setTimeout(resolve, 50));
  const began = performance.now();
  await writer.stop();
  t.ok(performance.now() - began < 1000);
});
