/**
 * Patterns of custom kinds' schemas. Their language is Go's (RE2), which is always quick; ours can take for ever on a
 * text that was made for it. So what RE2 does not know is refused, and a pattern that might be slow runs with an end.
 */
import { type Context, createContext, Script } from 'node:vm';

const LONGEST = 2000;
/** All patterns of one object together. */
const BUDGET_MS = 200;
/** Texts up to this length no pattern with few choices is slow on. */
const SHORT = 256;
/** Repetitions, options and alternatives: how a text may be read in several ways. */
const FEW_CHOICES = 3;
/** What Go's takes. */
const MOST_REPEATED = 1000;
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
  for (const [, least, most] of plain(pattern).matchAll(/\{(\d+)(?:,(\d*))?\}/g)) {
    if (Math.max(Number(least), Number(most ?? 0)) > MOST_REPEATED) return `must repeat at most ${MOST_REPEATED} times`;
  }
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

const TEST = new Script('regExp.test(text)');
/** Where patterns run that might not end; made when the first one does. */
let sandbox: Context | undefined;

/** The patterns of one schema; `restart` gives them their time anew, for another object. */
export class PatternSet {
  #leftMs = BUDGET_MS;

  restart(): void {
    this.#leftMs = BUDGET_MS;
  }

  /** As ajv wants it. `test` throws PatternTooSlow. */
  engine(): ((pattern: string) => { test(text: string): boolean }) & { code: string } {
    const engine = (pattern: string) => {
      const regExp = compile(pattern);
      const isQuick = hasFewChoices(pattern);
      return {
        test: (text: string) => (isQuick && text.length <= SHORT ? regExp.test(text) : this.#timed(regExp, text)),
      };
    };
    return Object.assign(engine, { code: 'new RegExp' });
  }

  #timed(regExp: RegExp, text: string): boolean {
    if (this.#leftMs < 1) throw new PatternTooSlow();
    const begun = performance.now();
    try {
      sandbox ??= createContext({});
      Object.assign(sandbox, { regExp, text });
      return TEST.runInContext(sandbox, { timeout: Math.ceil(this.#leftMs) }) as boolean;
    } catch {
      this.#leftMs = 0;
      throw new PatternTooSlow();
    } finally {
      this.#leftMs -= performance.now() - begun;
    }
  }
}

/** Not where a group is repeated that may itself have some. */
function hasFewChoices(pattern: string): boolean {
  const text = plain(pattern);
  return !/\)[*+{]/.test(text) && (text.match(/[*+{?|]/g) ?? []).length <= FEW_CHOICES;
}

/** Its structure: escapes and classes are any character. */
function plain(pattern: string): string {
  return pattern.replace(/\\./g, 'x').replace(/\[[^\]]*\]/g, 'x');
}
