/** The web server that stands for nginx: its page, what it says of others, its access log. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import t from 'tap';

t.test('a welcome page and an access log', async (t) => {
  const port = 20_000 + (process.pid % 10_000);
  const module = new URL('../../../src/lab/programs/nginx.js', import.meta.url).href;
  const script = `import(${JSON.stringify(module)}).then((m) => m.serveNginx(${port})).then(() => process.exit(0))`;
  const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
  t.teardown(() => child.kill('SIGKILL'));
  let log = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    log += text;
  });
  const get = async (path: string, method = 'GET') => {
    const response = await fetch(`http://127.0.0.1:${port}${path}`, { method });
    return { code: response.status, server: response.headers.get('server'), text: await response.text() };
  };
  for (let tries = 0; tries < 200; tries++) {
    if (
      await get('/').then(
        () => true,
        () => false,
      )
    )
      break;
    await new Promise((done) => setTimeout(done, 20));
  }
  t.match(await get('/'), { code: 200, server: 'nginx', text: /<title>Welcome to nginx!<\/title>/ });
  t.match(await get('/?a=b', 'HEAD'), { code: 200, text: '' });
  t.match(await get('/nothing'), { code: 404, text: /404 Not Found/ });
  t.match(await get('/', 'POST'), { code: 405 });
  while (!log.includes('POST')) await once(child.stdout, 'data');
  t.match(
    log,
    /^127\.0\.0\.1 - - \[\d\d\/\w{3}\/\d{4}:\d\d:\d\d:\d\d \+0000\] "GET \/nothing HTTP\/1\.1" 404 \d+ "-" "[^"]*" "-"$/m,
  );
  const ended = once(child, 'exit');
  child.kill('SIGTERM');
  t.same(await ended, [0, null]);
});
