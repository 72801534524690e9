/**
 * The host's resolv.conf, read again when it changes. Asked by its state every two seconds, because it is often
 * replaced, a link to another file, or mounted, and then notices of changes do not come.
 */
import { readFileSync, unwatchFile, watchFile } from 'node:fs';

const INTERVAL_MS = 2000;

export class ResolvConfWatch {
  readonly #path: string;
  readonly #onChange: () => void;
  readonly #listener: () => void;
  #text: string;

  constructor(path: string, onChange: () => void, intervalMs = INTERVAL_MS) {
    this.#path = path;
    this.#onChange = onChange;
    this.#text = read(path);
    this.#listener = () => this.#look();
    watchFile(path, { interval: intervalMs, persistent: false }, this.#listener);
  }

  /** As last read; '' where there is none. */
  get text(): string {
    return this.#text;
  }

  close(): void {
    unwatchFile(this.#path, this.#listener);
  }

  #look(): void {
    const text = read(this.#path);
    if (text === this.#text) return;
    this.#text = text;
    this.#onChange();
  }
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
