/**
 * Starts the bench, which is no part of what is installed: it needs the checkout that this command was built in, with
 * its sources and the packages to build it.
 */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

export interface BenchOptions {
  rounds?: number;
  seconds?: number;
  subjects?: string;
  peers?: string;
  quick?: boolean;
  services?: boolean;
  dns?: boolean;
  cluster?: boolean;
  list?: boolean;
  /** Another checkout. */
  against?: string;
  out?: string;
  output: 'table' | 'json';
}

const CHECKOUT = fileURLToPath(new URL('../../../', import.meta.url));

export function bench(options: BenchOptions, checkout = CHECKOUT): Promise<number> {
  const script = `${checkout}dist/bench/${options.cluster ? 'cluster/run' : 'run'}.js`;
  if (!existsSync(script) || !existsSync(`${checkout}bench/run.ts`)) {
    const remedy = 'it is part of a checkout only: clone the repository, then make build';
    return Promise.reject(Object.assign(new Error(`there is no bench in ${checkout}`), { remedy }));
  }
  // It names files by their path in the checkout.
  const child = spawn(process.execPath, [script, ...wordsOf(options)], { stdio: 'inherit', cwd: checkout });
  const pass = (signal: NodeJS.Signals) => child.kill(signal);
  process.on('SIGINT', pass).on('SIGTERM', pass);
  return new Promise((done, fail) => {
    child.on('error', fail);
    child.on('close', (code) => done(code ?? 1));
  });
}

/** The options as the script takes them. */
export function wordsOf({ out, against, quick, services, dns, cluster: _, list, ...valued }: BenchOptions): string[] {
  const words = Object.entries(valued).flatMap(([name, value]) =>
    value === undefined ? [] : [`--${name}`, String(value)],
  );
  if (services) words.push('--services');
  if (dns) words.push('--dns');
  if (quick) words.push('--quick');
  if (list) words.push('--list');
  if (against !== undefined) words.push('--against', resolve(against));
  if (out !== undefined) words.push('--out', resolve(out));
  return words;
}
