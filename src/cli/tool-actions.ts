/** What `weft tool …` does: the lab room's small programs, with their results as JSON on standard output. */
import type { Socket } from 'node:dgram';
import { once } from 'node:events';
import { httpLoad } from '../lab/http-load.ts';
import { receiveTcp, sendTcp } from '../lab/tcp-throughput.ts';

interface LoadOptions {
  requests: number;
  concurrency: number;
  timeout: number;
  pauseAfter?: number;
  perSecond?: number;
  interval?: number;
}

export async function load(url: string, options: LoadOptions): Promise<void> {
  const { requests, concurrency, timeout, pauseAfter, perSecond, interval } = options;
  const result = await httpLoad({
    url,
    requests,
    concurrency,
    timeoutMs: timeout,
    ...(pauseAfter === undefined ? {} : { pauseAfter }),
    ...(perSecond === undefined ? {} : { perSecond }),
    ...(interval === undefined ? {} : { intervalMs: interval }),
    pause: async () => {
      console.log('paused');
      await once(process.stdin, 'data');
      process.stdin.destroy();
    },
  });
  print(result);
}

export async function ping(addresses: readonly string[], count: number): Promise<void> {
  const { IcmpProber } = await import('../agent/host/icmp-prober.ts');
  const prober = IcmpProber.open();
  print(await Promise.all(addresses.map((address) => prober.probe(address, { count, timeoutMs: 1000 }))));
  prober.close();
}

export async function trace(address: string): Promise<void> {
  const { traceRoute } = await import('../lab/icmp-trace.ts');
  print(await traceRoute(address));
}

/** As every program resolves names: by the pod's resolv.conf and hosts. */
export async function resolveName(name: string): Promise<void> {
  const { lookup } = await import('node:dns/promises');
  print(await lookup(name, { all: true, family: 4 }));
}

/**
 * Each question from a port of its own, one after the other; one without an answer after a second is lost. The sockets
 * stay open until the last answer: a port that the kernel gave twice would be the same flow, with the same endpoint.
 */
export async function udpAsk(host: string, port: number, text: string, count: number): Promise<void> {
  const { createSocket } = await import('node:dgram');
  const answers: Record<string, number> = {};
  const sockets: Socket[] = [];
  for (let i = 0; i < count; i++) {
    const socket = createSocket('udp4');
    sockets.push(socket);
    socket.on('error', () => {});
    socket.send(text, port, host);
    const timeout = AbortSignal.timeout(1000);
    const [reply] = await once(socket, 'message', { signal: timeout }).catch(() => ['(lost)']);
    answers[String(reply)] = (answers[String(reply)] ?? 0) + 1;
  }
  for (const socket of sockets) socket.close();
  print(answers);
}

export async function tcpReceive(port: number): Promise<void> {
  print(await receiveTcp(port, () => console.log('listening')));
}

export async function tcpSend(address: string, port: number, seconds: number): Promise<void> {
  await sendTcp(address, port, seconds);
}

function print(value: unknown): void {
  console.log(JSON.stringify(value));
}
