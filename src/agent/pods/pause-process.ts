/**
 * The process that holds a pod's host name, and is in its network, while its containers come and go
 * (weft_container pause). It outlives the agent like they do.
 */
import { spawn } from 'node:child_process';
import { pauseCommand, type Tools } from './container-command.ts';
import type { PodPlan } from './pod-plan.ts';
import { isRunning, type ProcessId, startTicks } from './process-table.ts';

export class PauseProcess {
  readonly #plan: Pick<PodPlan, 'netns' | 'hostname'>;
  /** Written down by the pod; filled in place. */
  readonly #id: ProcessId;
  readonly #tools: Tools;
  #beginning: Promise<void> | undefined;

  constructor(plan: Pick<PodPlan, 'netns' | 'hostname'>, id: ProcessId, tools: Tools) {
    this.#plan = plan;
    this.#id = id;
    this.#tools = tools;
  }

  get isRunning(): boolean {
    return this.#id.pid > 0 && isRunning(this.#id);
  }

  /** Resolves when it holds the name. The pod's network namespace must be there. */
  begin(): Promise<void> {
    if (this.isRunning && this.#beginning === undefined) return Promise.resolve();
    this.#beginning ??= this.#spawn().finally(() => {
      this.#beginning = undefined;
    });
    return this.#beginning;
  }

  #spawn(): Promise<void> {
    const { file, args, env } = pauseCommand(this.#plan, this.#tools);
    return new Promise((done, fail) => {
      const child = spawn(file, args, { cwd: '/', detached: true, env, stdio: ['ignore', 'ignore', 'ignore', 'pipe'] });
      let report = '';
      child.once('error', fail);
      if (child.pid === undefined) return;
      Object.assign(this.#id, { pid: child.pid, startTicks: startTicks(child.pid) ?? 0 });
      const told = child.stdio[3] as NodeJS.ReadableStream;
      told.setEncoding('utf8').on('data', (text: string) => {
        report += text;
      });
      told.on('error', () => {});
      told.once('close', () => {
        if (report.startsWith('started ')) done();
        else fail(new Error(report.trim().replace(/^failed \d+ /, '') || 'it did not start'));
      });
      child.unref();
    });
  }

  end(): void {
    if (!this.isRunning) return;
    try {
      process.kill(this.#id.pid, 'SIGKILL');
    } catch {
      // It ended by itself.
    }
  }
}
