/**
 * Patterns of custom kinds' schemas. Their language is Go's (RE2), which is always quick; ours can take for ever on a
 * text that was made for it. So what RE2 does not know is refused, and a pattern that might be slow runs with an end.
 */
import { createContext, Script } from 'node:vm';

const LONGEST = 2000;
/** All patterns of one object together. */
const BUDGET_MS = 200;
/** Texts up to this length no pattern without nested repetition is slow on. */
const SHORT = 256;
/** Lookaround and references back, which RE2 has not. */
const UNKNOWN_TO_GO = /\(\?(?:=|!|<=|<!)|\\[1-9]|\\k</;
const CLASSES: Readonly<Record<string, string>> = {
  alnum: 'A-Za-z0-9',
  alpha: 'A-Za-z',
  digit: '0-9',
  lower: 'a-z',
  upper: 'A-Z',
  space: '\\s',
  word: '\\w',
  punct: '!-\\/:-@\\[-`{-~',
  xdigit: '0-9A-Fa-f',
};

/** What is wrong with a pattern; undefined: it can be used. */
export function patternFault(pattern: unknown): string | undefined {
  if (typeof pattern !== 'string') return 'must be a string';
  if (pattern.length > LONGEST) return `must have at most ${LONGEST} characters`;
  if (UNKNOWN_TO_GO.test(pattern.replaceAll('\\\\', ''))) return 'must not look around or refer back';
  try {
    compile(pattern);
    return undefined;
  } catch (error) {
    return `is no regular expression: ${error instanceof Error ? error.message : error}`;
  }
}

/** The same in JavaScript's words. Throws SyntaxError. */
function compile(pattern: string): RegExp {
  const [, flags = '', rest = pattern] = /^\(\?([is]+)\)([\s\S]*)$/.exec(pattern) ?? [];
  const text = rest
    .replace(/\(\?P</g, '(?<')
    .replace(/\[:([a-z]+):\]/g, (whole, name: string) => CLASSES[name] ?? whole)
    .replace(/\\[Az]/g, (anchor) => (anchor === '\\A' ? '^' : '$'));
  return new RegExp(text, flags);
}

export class PatternTooSlow extends Error {}

/** The patterns of one schema; `restart` gives them their time anew, for another object. */
export class PatternSet {
  readonly #context = createContext({ regExp: undefined as RegExp | undefined, text: '' });
  readonly #script = new Script('regExp.test(text)');
  #leftMs = BUDGET_MS;

  restart(): void {
    this.#leftMs = BUDGET_MS;
  }

  /** As ajv wants it. `test` throws PatternTooSlow. */
  engine(): ((pattern: string) => { test(text: string): boolean }) & { code: string } {
    const engine = (pattern: string) => {
      const regExp = compile(pattern);
      const nested = repeatsWithin(pattern);
      return {
        test: (text: string) => (nested || text.length > SHORT ? this.#timed(regExp, text) : regExp.test(text)),
      };
    };
    return Object.assign(engine, { code: 'new RegExp' });
  }

  #timed(regExp: RegExp, text: string): boolean {
    if (this.#leftMs < 1) throw new PatternTooSlow();
    const begun = performance.now();
    try {
      Object.assign(this.#context, { regExp, text });
      return this.#script.runInContext(this.#context, { timeout: Math.ceil(this.#leftMs) }) as boolean;
    } catch {
      this.#leftMs = 0;
      throw new PatternTooSlow();
    } finally {
      this.#leftMs -= performance.now() - begun;
    }
  }
}

/** A group is repeated that itself repeats or has alternatives; or there are many repetitions in a row. */
function repeatsWithin(pattern: string): boolean {
  const plain = pattern.replace(/\\./g, 'x').replace(/\[[^\]]*\]/g, 'x');
  return /\)[*+{]/.test(plain) || (plain.match(/[*+{]/g) ?? []).length > 3;
}
