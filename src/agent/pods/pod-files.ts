/**
 * The files of a pod in its folder: those that its containers have mounted, and what the next agent must know of it.
 * A pod begins only where they can be written; what runs goes on without, as on a disk that is full.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describeError } from '../agent-error.ts';
import { writeState } from '../state-file.ts';
import { ETC_HOSTS, RESOLV_CONF } from './container-command.ts';
import type { PodPlan } from './pod-plan.ts';
import { POD_STATE_FILE, type PodState } from './pod-state.ts';

type Texts = Pick<PodPlan, 'resolvConf' | 'etcHosts'>;

export class PodFiles {
  readonly #directory: string;
  readonly #state: Readonly<PodState>;
  #texts: Texts = { resolvConf: '', etcHosts: '' };
  /** What could not be written when that was tried last, or ''. */
  problem = '';

  constructor(directory: string, state: Readonly<PodState>) {
    this.#directory = directory;
    this.#state = state;
  }

  /** All of them. In place, since running containers have these very files mounted. Throws where that cannot be. */
  write(texts: Texts): void {
    this.#texts = texts;
    mkdirSync(this.#directory, { recursive: true, mode: 0o755 });
    writeFileSync(join(this.#directory, RESOLV_CONF), texts.resolvConf, { mode: 0o644 });
    writeFileSync(join(this.#directory, ETC_HOSTS), texts.etcHosts, { mode: 0o644 });
    this.save();
  }

  /** The state alone. Throws where that cannot be. */
  save(): void {
    writeState(join(this.#directory, POD_STATE_FILE), this.#state);
  }

  /** The state, and texts that are new or could not be written before; whatever becomes of it. */
  update(texts: Texts = this.#texts): void {
    try {
      if (this.problem !== '' || texts !== this.#texts) this.write(texts);
      else this.save();
      this.problem = '';
    } catch (error) {
      this.problem = `its files cannot be written: ${describeError(error)}`;
    }
  }
}
