/**
 * What stands for the images that tutorials serve a first page with: each answers every request with some lines, which
 * name the pod.
 */
import { createServer, type IncomingMessage } from 'node:http';
import { hostname } from 'node:os';
import { FlagError } from './flags.ts';
import { serveUntilTold } from './http-service.ts';

interface Page {
  port: number;
  text(request: IncomingMessage): string;
}

const PAGES: Readonly<Record<string, Page>> = {
  'kubernetes-bootcamp': {
    port: 8080,
    text: () => `Hello Kubernetes bootcamp! | Running on: ${hostname()} | v=1\n`,
  },
  'hello-app': { port: 8080, text: () => `Hello, world!\nVersion: 1.0.0\nHostname: ${hostname()}\n` },
  httpd: { port: 80, text: () => '<html><body><h1>It works!</h1></body></html>\n' },
  echoserver: { port: 8080, text: echo },
};

/** Runs until a signal ends it. `port` is the image's own by default. Throws FlagError. */
export async function serveHello(name: string, port?: number): Promise<void> {
  const page = Object.hasOwn(PAGES, name) ? PAGES[name] : undefined;
  if (!page) throw new FlagError(`${name} is not among ${Object.keys(PAGES).join(', ')}`);
  const server = createServer((request, response) => {
    request.resume();
    const text = page.text(request);
    const type = text.startsWith('<') ? 'text/html' : 'text/plain';
    response.writeHead(200, { 'content-type': type, 'content-length': Buffer.byteLength(text) });
    response.end(request.method === 'HEAD' ? undefined : text);
    console.log(`${request.method} ${request.url} from ${request.socket.remoteAddress ?? '-'}`);
  });
  await serveUntilTold(server, port ?? page.port);
}

function echo({ method, url, headers, httpVersion, socket }: IncomingMessage): string {
  const lines = Object.entries(headers).map(([name, value]) => `\t${name}=${String(value)}\n`);
  const request = `\tclient_address=${socket.remoteAddress ?? '-'}\n\tmethod=${method}\n\trequest_version=${httpVersion}\n`;
  return `Hostname: ${hostname()}\n\nRequest Information:\n${request}\trequest_uri=${url}\n\nRequest Headers:\n${lines.join('')}`;
}
