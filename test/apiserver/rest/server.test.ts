/** The server's outside towards clients that do not take what they asked for: they hold nothing for ever. */
import { once } from 'node:events';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { ResourceTable } from '../../../src/apiserver/kinds/resource-table.ts';
import type { ApiAnswer, LineSink } from '../../../src/apiserver/rest/request.ts';
import { RequestLimits } from '../../../src/apiserver/rest/request-limits.ts';
import type { RequestRouter } from '../../../src/apiserver/rest/request-router.ts';
import { ApiServer } from '../../../src/apiserver/rest/server.ts';
import { ServerMetrics } from '../../../src/apiserver/rest/server-metrics.ts';

const BLOCK = Buffer.alloc(1 << 20);

/** Answers every request so; `limits` tells what is under way. */
async function serving(t: Test, answer: ApiAnswer): Promise<{ port: number; limits: RequestLimits }> {
  const limits = new RequestLimits();
  const metrics = new ServerMetrics(new ResourceTable());
  const router: Pick<RequestRouter, 'health' | 'answer' | 'asApiError'> = {
    health: async () => undefined,
    answer: async () => answer,
    asApiError: (error) => {
      throw error;
    },
  };
  const server = new ApiServer({
    tls: undefined,
    authenticate: () => ({ name: 'ann', groups: [] }),
    router: router as RequestRouter,
    limits,
    metrics,
    log: (message) => t.fail(message),
    stallMs: 100,
    goodbyeMs: 100,
  });
  t.teardown(async () => {
    await server.close();
    metrics.close();
  });
  return { port: await server.listen('127.0.0.1', 0), limits };
}

/** Asks, and reads nothing of the answer. */
async function asking(t: Test, port: number, more = '') {
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => {});
  t.teardown(() => socket.destroy());
  socket.pause();
  socket.write(`GET / HTTP/1.1\r\nHost: a\r\n${more}\r\n`);
  await once(socket, 'connect');
  return socket;
}

async function until(holds: () => boolean): Promise<boolean> {
  for (let i = 0; i < 500; i++) {
    if (holds()) return true;
    await sleep(10);
  }
  return false;
}

const answers: Record<string, () => ApiAnswer> = {
  'a list': () => ({ code: 200, blocks: Array.from({ length: 64 }, () => BLOCK) }),
  'an object': () => ({ code: 200, bytes: Buffer.concat(Array.from({ length: 64 }, () => BLOCK)), contentType: 'x/y' }),
};
for (const [what, answer] of Object.entries(answers)) {
  for (const more of ['', 'Connection: Upgrade\r\nUpgrade: h2c\r\n']) {
    t.test(`${what} that nobody reads is given up${more && ', asked with an upgrade too'}`, async (t) => {
      const { port, limits } = await serving(t, answer());
      await asking(t, port, more);
      t.ok(await until(() => limits.requests === 1), 'it is under way');
      t.ok(await until(() => limits.requests === 0), 'and over');
    });
  }
}

t.test('a watch that ends gives its place back, though its client takes nothing', async (t) => {
  let sink: LineSink | undefined;
  let closed = 0;
  const lines = {
    start: (to: LineSink) => {
      sink = to;
    },
    drained: () => {},
    close: () => void closed++,
  };
  const { port } = await serving(t, { code: 200, lines });
  await asking(t, port);
  t.ok(await until(() => sink !== undefined));
  while (sink?.write(BLOCK));
  for (let i = 0; i < 32; i++) sink?.write(BLOCK);
  t.equal(closed, 0);
  sink?.end();
  t.ok(await until(() => closed === 1));
});
