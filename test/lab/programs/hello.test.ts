/** The pages of the images that tutorials begin with. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { hostname } from 'node:os';
import t from 'tap';
import { serveHello } from '../../../src/lab/programs/hello.ts';

const PAGES: readonly [string, RegExp][] = [
  ['kubernetes-bootcamp', new RegExp(`^Hello Kubernetes bootcamp! \\| Running on: ${hostname()} \\| v=1\n$`)],
  ['hello-app', new RegExp(`^Hello, world!\nVersion: 1\\.0\\.0\nHostname: ${hostname()}\n$`)],
  ['httpd', /<h1>It works!<\/h1>/],
  ['echoserver', /^Hostname: .*\tmethod=GET\n.*\trequest_uri=\/a\?b\n.*\thost=127\.0\.0\.1/s],
];

t.test('each says what its image says, until it is told to end', async (t) => {
  const module = new URL('../../../src/lab/programs/hello.js', import.meta.url).href;
  await Promise.all(
    PAGES.map(async ([name, wanted], i) => {
      const port = 10_000 + (process.pid % 2500) * 4 + i;
      const script = `import(${JSON.stringify(module)}).then((m) => m.serveHello('${name}', ${port})).then(() => process.exit(0))`;
      const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
      t.teardown(() => child.kill('SIGKILL'));
      let said = '';
      for (let tries = 0; tries < 200 && said === ''; tries++) {
        said = await fetch(`http://127.0.0.1:${port}/a?b`).then(
          (answer) => answer.text(),
          () => '',
        );
        if (said === '') await new Promise((done) => setTimeout(done, 20));
      }
      t.match(said, wanted, name);
      const ended = once(child, 'exit');
      child.kill('SIGTERM');
      t.same(await ended, [0, null]);
    }),
  );
});

t.test('another is none of them', async (t) => {
  await t.rejects(serveHello('constructor'), { message: /is not among kubernetes-bootcamp/ });
});
