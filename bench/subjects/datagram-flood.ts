/**
 * Drives bench/subjects/flood.cc, which is compiled when first needed: one flood from the client pod to the server
 * pod, full speed or paced.
 */
import { existsSync } from 'node:fs';
import { inNamespace, outputOf, run, start } from '../command.ts';
import { type Path, PORTS } from '../contest.ts';
import { privateFolder } from '../isolation.ts';

const PORT = PORTS.flood;
export const PAYLOAD_BYTES = 64;

export interface FloodResult {
  sentPerSecond: number;
  receivedPerSecond: number;
  /** 0 to 1. */
  loss: number;
}

export async function flood(path: Path, seconds: number, perSecond = 0): Promise<FloodResult> {
  const { client, server } = path;
  const program = await compiled();
  const receive = inNamespace(server.namespace, [program, 'receive', `${PORT}`, `${seconds + 0.5}`]);
  const receiver = start(receive);
  const receiverEnd = outputOf(receiver, receive);
  await new Promise((ready) => receiver.stdout?.once('data', ready));
  const pace = perSecond > 0 ? [`${Math.round(perSecond)}`] : [];
  const send = [program, 'send', path.address, `${PORT}`, `${PAYLOAD_BYTES}`, `${seconds}`, ...pace];
  const sent = JSON.parse(await run(inNamespace(client.namespace, send))) as { sent: number; seconds: number };
  const last = (await receiverEnd).trim().split('\n').at(-1) ?? '{}';
  const { received, seconds: taken } = JSON.parse(last) as { received: number; seconds: number };
  return {
    sentPerSecond: sent.sent / sent.seconds,
    receivedPerSecond: taken > 0 ? received / Math.max(taken, sent.seconds) : 0,
    loss: Math.max(0, 1 - received / sent.sent),
  };
}

async function compiled(): Promise<string> {
  const program = `${privateFolder('flood')}/flood`;
  if (!existsSync(program)) await run(['g++', '-O2', '-o', program, 'bench/subjects/flood.cc']);
  return program;
}
