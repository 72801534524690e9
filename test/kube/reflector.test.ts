/** A collection followed through everything that can go wrong on the way: what is known in the end is what is there. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import t, { type Test } from 'tap';
import { ApiClient } from '../../src/kube/api-client.ts';
import type { JsonObject } from '../../src/kube/json-value.ts';
import { Reflector, type ReflectorOptions, type ReflectorSink } from '../../src/kube/reflector.ts';
import { apiAccess } from './api-access.ts';
import { brittleWay, FakeCollection } from './fake-collection.ts';

class Known implements ReflectorSink {
  readonly versions = new Map<string, string>();
  readonly faults: (string | undefined)[] = [];
  lists = 0;
  events = 0;
  #pages = new Map<string, string>();

  begin(): void {
    this.#pages = new Map();
  }

  page(items: readonly JsonObject[]): void {
    for (const item of items) this.#pages.set(...named(item));
  }

  replace(): void {
    this.lists++;
    this.versions.clear();
    for (const [name, version] of this.#pages) this.versions.set(name, version);
  }

  change(type: string, object: JsonObject): void {
    this.events++;
    const [name, version] = named(object);
    if (type === 'DELETED') this.versions.delete(name);
    else this.versions.set(name, version);
  }

  fault(message: string | undefined): void {
    this.faults.push(message);
  }

  get sorted(): Record<string, string> {
    return Object.fromEntries([...this.versions].sort());
  }
}

function named(object: JsonObject): [string, string] {
  const { name, resourceVersion } = object.metadata as { name: string; resourceVersion: string };
  return [name, resourceVersion];
}

function follow(t: Test, server: string, more: Partial<ReflectorOptions> = {}): Known {
  const client = new ApiClient(apiAccess(server));
  const known = new Known();
  const wait = () => new Promise<void>((resolve) => setTimeout(resolve, 1));
  const reflector = new Reflector({ client, path: '/api/v1/things', sink: known, pageSize: 7, wait, ...more });
  reflector.start();
  t.teardown(async () => {
    await reflector.close();
    client.close();
  });
  return known;
}

async function until(what: () => boolean, message: string): Promise<void> {
  const deadline = Date.now() + 20_000;
  while (!what()) {
    if (Date.now() > deadline) throw new Error(`not within 20 s: ${message}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

const same = (known: Known, server: FakeCollection) =>
  JSON.stringify(known.sorted) === JSON.stringify(server.versions());

t.test('lists in pages and goes on from there', async (t) => {
  const server = await FakeCollection.start(t);
  for (let i = 0; i < 20; i++) server.put(`thing-${i}`);
  const known = follow(t, server.url);
  await until(() => known.lists === 1 && server.watching === 1, 'it watches');
  t.strictSame(known.sorted, server.versions());
  t.equal(server.lists, 3, 'twenty objects in pages of seven');
  server.put('thing-3');
  server.put('new');
  server.remove('thing-4');
  await until(() => known.events === 3, 'three events');
  t.strictSame(known.sorted, server.versions());
});

t.test('a watch that breaks goes on where it was, without listing again', async (t) => {
  const server = await FakeCollection.start(t);
  server.put('a');
  const known = follow(t, server.url);
  await until(() => server.watching === 1, 'it watches');
  server.put('b');
  await until(() => known.events === 1, 'the event came');
  server.cut();
  server.put('c');
  server.remove('a');
  await until(() => same(known, server), 'what happened meanwhile is told');
  t.equal(known.lists, 1);
  t.equal(known.events, 3, 'nothing is told twice');
});

t.test('what a bookmark says is where a watch goes on', async (t) => {
  const server = await FakeCollection.start(t);
  server.put('a');
  follow(t, server.url);
  await until(() => server.watching === 1, 'it watches');
  server.bookmark();
  const version = server.put('b').metadata.resourceVersion;
  server.bookmark();
  await new Promise((resolve) => setTimeout(resolve, 20));
  server.cut();
  await until(() => server.watches === 2, 'it watches again');
  t.equal(server.asked.at(-1)?.searchParams.get('resourceVersion'), version);
});

t.test('a version that is too old has it list again', async (t) => {
  const server = await FakeCollection.start(t);
  server.put('a');
  const known = follow(t, server.url);
  await until(() => server.watching === 1, 'it watches');
  server.cut();
  server.put('b');
  server.remove('a');
  server.compact();
  await until(() => same(known, server), 'the list is read again');
  t.equal(known.lists, 2);
  await until(() => server.watching === 1, 'it watches again');
  server.sendError(410, 'Gone');
  server.put('c');
  await until(() => known.lists === 3 && same(known, server), 'and once more');
});

t.test('a server of another history is believed', async (t) => {
  const first = await FakeCollection.start(t);
  const { port } = first;
  for (let i = 0; i < 20; i++) first.put(`thing-${i}`);
  const known = follow(t, first.url);
  await until(() => first.watching === 1, 'it watches');
  await first.stop();
  const second = new FakeCollection();
  second.put('only');
  await second.listen(port);
  t.teardown(() => second.stop());
  await until(() => second.watching === 1, 'it watches from a version that is none yet');
  second.bookmark();
  await until(() => same(known, second), 'and lists again');
  t.equal(known.lists, 2);
});

t.test('another error in the stream is waited out', async (t) => {
  const server = await FakeCollection.start(t);
  const known = follow(t, server.url);
  await until(() => server.watching === 1, 'it watches');
  server.sendError(500, 'InternalError');
  server.put('a');
  await until(() => same(known, server), 'it goes on');
  t.equal(known.lists, 1);
  t.ok(known.faults.includes('InternalError'));
  await until(() => known.faults.at(-1) === undefined, 'the fault is over');
});

t.test('a watch that is silent too long is renewed', async (t) => {
  const server = await FakeCollection.start(t);
  const known = follow(t, server.url, { silenceMs: 1200 });
  await until(() => server.watches >= 2, 'a second watch');
  t.equal(known.lists, 1, 'without listing again');
});

t.test('a token that is forgotten in the middle of a list: all at once', async (t) => {
  const server = await FakeCollection.start(t);
  for (let i = 0; i < 20; i++) server.put(`thing-${i}`);
  let pages = 0;
  server.intercept = (url) => {
    if (url.searchParams.get('continue') && pages++ === 0) {
      server.put('late');
      server.compact();
    }
    return false;
  };
  const known = follow(t, server.url);
  await until(() => known.lists === 1, 'a complete list');
  t.strictSame(known.sorted, server.versions());
});

t.test('a server that goes in the middle of a list and comes back as another', async (t) => {
  const first = await FakeCollection.start(t);
  for (let i = 0; i < 20; i++) first.put(`thing-${i}`);
  const { port } = first;
  let gone: Promise<void> | undefined;
  first.intercept = (url) => {
    if (!url.searchParams.get('continue') || gone) return false;
    gone = first.stop();
    return true;
  };
  const known = follow(t, first.url);
  await until(() => gone !== undefined, 'it goes');
  await gone;
  await until(() => known.faults.some((f) => f?.includes('ECONNREFUSED')), 'nobody is there');
  t.equal(known.versions.size, 0, 'half a list is none');
  const second = new FakeCollection();
  second.put('only');
  await second.listen(port);
  t.teardown(() => second.stop());
  await until(() => same(known, second), 'the other is believed');
});

t.test('answers that are none do no harm', async (t) => {
  const server = await FakeCollection.start(t);
  server.put('a');
  const nonsense = ['', '{', '[]', '{"metadata":{}}', 'null', '{"metadata":{"resourceVersion":5},"items":3}', '<html>'];
  server.intercept = (_, response) => {
    const next = nonsense.shift();
    if (next === undefined) return false;
    response.writeHead(nonsense.length % 2 === 0 ? 200 : 503);
    response.end(next);
    return true;
  };
  const known = follow(t, server.url);
  await until(() => same(known, server), 'it is followed in the end');
  const lines = ['{', '{"type":"ADDED"}', 'null', '{"type":"ADDED","object":[]}'];
  server.intercept = (url, response) => {
    const next = url.searchParams.get('watch') ? lines.shift() : undefined;
    if (next === undefined) return false;
    response.end(`${next}\n`);
    return true;
  };
  server.cut();
  await until(() => lines.length === 0 && server.watching === 1, 'it watches in the end');
  server.put('b');
  await until(() => same(known, server), 'and hears');
});

t.test('connections that break off at any byte', async (t) => {
  const server = await FakeCollection.start(t);
  for (let i = 0; i < 30; i++) server.put(`thing-${i}`, { text: 'ä'.repeat(i) });
  let seed = 7;
  const random = () => {
    seed = (seed * 1103515245 + 12345) % 2 ** 31;
    return seed / 2 ** 31;
  };
  let breaks = 0;
  const way = await brittleWay(t, server.port, () => {
    breaks++;
    // Now and then far enough for a whole list.
    return 1 + Math.floor(random() * random() * 3000) + (random() < 0.1 ? 60_000 : 0);
  });
  const known = follow(t, way);
  // On a busy machine a connection lives longer than many rounds.
  for (let round = 0; round < 250 || (breaks <= 5 && round < 5000); round++) {
    const name = `thing-${Math.floor(random() * 40)}`;
    if (random() < 0.3) server.remove(name);
    else server.put(name, { text: 'ö'.repeat(Math.floor(random() * 200)) });
    if (random() < 0.05) server.compact();
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  await until(() => same(known, server), 'all of it is known');
  t.ok(breaks > 5, `${breaks} connections broke off`);
});

t.test('where nobody listens it asks each second, where somebody fails more and more seldom', async (t) => {
  const longest = async (server: string) => {
    const waits: number[] = [];
    const wait = async (ms: number) => {
      waits.push(ms);
      await new Promise((resolve) => setTimeout(resolve, 1));
    };
    follow(t, server, { wait });
    await until(() => waits.length >= 12, 'it has asked often');
    return Math.max(...waits);
  };
  const gone = await FakeCollection.start(t);
  const { url } = gone;
  await gone.stop();
  const refused = await longest(url);
  t.ok(refused > 400 && refused <= 1000, `${refused} ms at most`);
  const failing = createServer((_, response) => response.writeHead(500).end('{}')).listen(0, '127.0.0.1');
  await once(failing, 'listening');
  t.teardown(() => failing.close());
  const failed = await longest(`http://127.0.0.1:${(failing.address() as AddressInfo).port}`);
  t.ok(failed > 4000 && failed <= 10_000, `${failed} ms at most`);
});

t.test('who are told to come again after a second do not all come at once', async (t) => {
  const busy = createServer((_, response) => response.writeHead(429, { 'retry-after': '1' }).end('{}'));
  busy.listen(0, '127.0.0.1');
  await once(busy, 'listening');
  t.teardown(() => busy.close());
  const waits: number[] = [];
  const wait = async (ms: number) => {
    waits.push(ms);
    await new Promise((resolve) => setTimeout(resolve, 1));
  };
  follow(t, `http://127.0.0.1:${(busy.address() as AddressInfo).port}`, { wait });
  await until(() => waits.length >= 3, 'it has asked often');
  const first = waits.slice(0, 3);
  t.ok(first.every((ms) => ms >= 1000 && ms <= 2000) && new Set(first).size === 3, `${first}`);
});

t.test('five thousand objects hold up nobody', async (t) => {
  const server = await FakeCollection.start(t);
  const status = { conditions: Array.from({ length: 5 }, (_, i) => ({ type: `T${i}`, status: 'True', message: 'm' })) };
  const spec = { containers: [{ name: 'c', image: 'nginx', env: [{ name: 'A', value: 'x'.repeat(200) }] }] };
  for (let i = 0; i < 5000; i++) server.put(`thing-${i}`, { spec, status });
  const known = follow(t, server.url, { pageSize: 500 });
  await until(() => server.watching === 1, 'it watches');
  t.equal(known.versions.size, 5000);
  // The server is this process too: what it does counts, so it is not in what is measured.
  const changes = Array.from({ length: 5000 }, (_, i) => `thing-${i}`);
  for (const name of changes) server.put(name, { spec, status });
  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  await until(() => known.events === 5000, 'all changes are heard');
  delay.disable();
  t.strictSame(known.sorted, server.versions());
  t.comment(`the loop was held up ${(delay.max / 1e6).toFixed(0)} ms at most`);
  t.ok(delay.max < 250e6, `held up ${delay.max / 1e6} ms`);
});
