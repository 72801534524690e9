/**
 * What stands for the image nginx: a web server with a welcome page on port 80, its access log on standard output.
 * Arguments are taken and make no difference; there is no configuration.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { serveUntilTold } from './http-service.ts';

const WELCOME = `<!DOCTYPE html>
<html>
<head>
<title>Welcome to nginx!</title>
<style>
html { color-scheme: light dark; }
body { width: 35em; margin: 0 auto; font-family: Tahoma, Verdana, Arial, sans-serif; }
</style>
</head>
<body>
<h1>Welcome to nginx!</h1>
<p>This page stands for that of nginx: Weft serves it where a pod names the image and no command.</p>
</body>
</html>
`;

const statusPage = (title: string): string => `<html>
<head><title>${title}</title></head>
<body>
<center><h1>${title}</h1></center>
<hr><center>nginx</center>
</body>
</html>
`;

/** Runs until a signal ends it. */
export async function serveNginx(port = 80): Promise<void> {
  const server = createServer(answer);
  await serveUntilTold(server, port);
}

function answer(request: IncomingMessage, response: ServerResponse): void {
  const path = (request.url ?? '/').split('?')[0] as string;
  const found = path === '/' || path === '/index.html';
  const allowed = request.method === 'GET' || request.method === 'HEAD';
  const code = allowed ? (found ? 200 : 404) : 405;
  const title = { 200: '', 404: '404 Not Found', 405: '405 Not Allowed' }[code];
  const body = title ? statusPage(title) : WELCOME;
  response.writeHead(code, {
    server: 'nginx',
    'content-type': 'text/html',
    'content-length': Buffer.byteLength(body),
    'accept-ranges': 'bytes',
  });
  request.resume();
  response.end(request.method === 'HEAD' ? undefined : body);
  const from = (request.socket.remoteAddress ?? '-').replace(/^::ffff:/, '');
  const what = `${request.method} ${request.url} HTTP/${request.httpVersion}`;
  const header = (name: string): string => String(request.headers[name] ?? '-').replaceAll('"', '\\x22');
  const bytes = request.method === 'HEAD' ? 0 : Buffer.byteLength(body);
  const line = `${from} - - [${accessTime(new Date())}] "${what}" ${code} ${bytes} "${header('referer')}" "${header('user-agent')}" "${header('x-forwarded-for')}"`;
  process.stdout.write(`${line}\n`);
}

/** `21/Nov/2026:10:10:00 +0000`. */
function accessTime(now: Date): string {
  const [, day, month, year, time] = /^\w+, (\d+) (\w+) (\d+) ([\d:]+)/.exec(now.toUTCString()) ?? [];
  return `${day}/${month}/${year}:${time} +0000`;
}
