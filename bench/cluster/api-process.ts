/** `weft apiserver` as a process of its own on loopback, with a probe in it that says what it costs. */
import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { ServerFigures } from './server-probe.ts';

const MAIN = fileURLToPath(new URL('../../src/cli/main.js', import.meta.url));
const PROBE = new URL('./server-probe.js', import.meta.url).href;
const START_MS = 60_000;
const SAID_CHARACTERS = 4000;

export class ApiProcess {
  readonly port: number;
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess, port: number) {
    this.#child = child;
    this.port = port;
  }

  /** Resolves when it serves. */
  static start(folder: string, etcd: readonly string[]): Promise<ApiProcess> {
    const store = etcd.length > 0 ? ['--store', 'etcd', '--etcd-servers', ...etcd] : [];
    const words = ['--import', PROBE, MAIN, 'apiserver', '--data', folder, '--port', '0', ...store];
    const child = spawn(process.execPath, words, { stdio: ['ignore', 'pipe', 'pipe', 'ipc'] });
    let said = '';
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => child.kill('SIGKILL'), START_MS);
      const hear = (data: Buffer) => {
        said = `${said}${data}`.slice(-SAID_CHARACTERS);
        const [, port] = /serving https:\/\/[^\s]*:(\d+)/.exec(said) ?? [];
        if (!port) return;
        clearTimeout(timer);
        resolve(new ApiProcess(child, Number(port)));
      };
      child.stdout?.on('data', hear);
      child.stderr?.on('data', hear);
      child.once('error', reject);
      child.once('exit', () => reject(new Error(`the API server ended: ${said.trim()}`)));
    });
  }

  /** Since the last time. */
  figures(): Promise<ServerFigures> {
    return new Promise((resolve, reject) => {
      this.#child.once('message', (figures) => resolve(figures as ServerFigures));
      this.#child.once('exit', () => reject(new Error('the API server ended in the middle of the bench')));
      this.#child.send('figures');
    });
  }

  stop(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#child.exitCode !== null || this.#child.signalCode !== null) return resolve();
      this.#child.once('exit', () => resolve());
      this.#child.kill('SIGTERM');
      setTimeout(() => this.#child.kill('SIGKILL'), 5000).unref();
    });
  }
}
