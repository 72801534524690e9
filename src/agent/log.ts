/**
 * What an agent tells whoever started it: one line per event on standard error, as a sentence for people or as JSON
 * for programs. Never per packet; a problem that lasts is told once, when it appears and when it is gone.
 */
export type LogLevel = 'debug' | 'info' | 'warn' | 'error';
export type LogFormat = 'plain' | 'json';

export interface Log {
  debug(message: string, fields?: object): void;
  info(message: string, fields?: object): void;
  warn(message: string, fields?: object): void;
  error(message: string, fields?: object): void;
}

const RANK: Record<LogLevel, number> = { debug: 0, info: 1, warn: 2, error: 3 };

/** For people: `21:03:11.482 warn  web-0: …`. */
export function plainLog(level: LogLevel, write: (line: string) => void): Log {
  const at = (name: LogLevel) => (message: string) => {
    if (RANK[name] < RANK[level]) return;
    write(`${new Date().toISOString().slice(11, 23)} ${name.padEnd(5)} ${message}\n`);
  };
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
}

export async function openLog(format: LogFormat, level: LogLevel, fields: object): Promise<Log> {
  if (format === 'plain') return plainLog(level, (line) => process.stderr.write(line));
  const { pino } = await import('pino');
  const out = pino({ level, base: { ...fields, pid: process.pid } }, pino.destination({ dest: 2, sync: true }));
  const at = (name: LogLevel) => (message: string, more?: object) => out[name](more ?? {}, message);
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
}

/** Tells each message of a list when it appears first, and again only after it was gone in between. */
export class OnceLog {
  #known = new Set<string>();
  readonly #say: (message: string) => void;
  readonly #gone: (message: string) => void;

  constructor(say: (message: string) => void, gone: (message: string) => void) {
    this.#say = say;
    this.#gone = gone;
  }

  update(messages: Iterable<string>): void {
    const now = new Set(messages);
    for (const message of now) if (!this.#known.has(message)) this.#say(message);
    for (const message of this.#known) if (!now.has(message)) this.#gone(message);
    this.#known = now;
  }
}
