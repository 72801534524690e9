/**
 * Bearer tokens from a file, as Kubernetes' --token-auth-file has them: a line for each, `token,user,uid` and the groups
 * in quotes, `"group1,group2"`. The file is read again when it changes; one that cannot be read leaves the last in force.
 */
import { readFileSync, statSync } from 'node:fs';
import type { Token } from './access.ts';

const MOST_BYTES = 1 << 20;
const LOOK_MS = 1000;
/** What a header can carry of it. */
const TOKEN = /^[\x21-\x7e]{1,4096}$/;

/** Throws where a line is none, with its number; never with what stands in it: that may be a secret. */
export function parseTokens(text: string, path: string): Token[] {
  const tokens = new Map<string, Token>();
  for (const [i, line] of text.split(/\r?\n/).entries()) {
    if (line.trim() === '' || line.startsWith('#')) continue;
    const wrong = (what: string) => new Error(`${path}:${i + 1}: ${what}`);
    const fields = fieldsOf(line);
    if (!fields) throw wrong('a quote is not closed, or stands within a field');
    const [token = '', name = '', uid, groups = ''] = fields;
    if (uid === undefined) throw wrong('must be token,user,uid and, if any, "group1,group2"');
    if (!TOKEN.test(token)) throw wrong('the token is empty or has characters that no header carries');
    if (name === '') throw wrong('the user has no name');
    if (tokens.has(token)) throw wrong('the token stands further up already');
    const listed = groups.split(',').map((group) => group.trim());
    tokens.set(token, { token, user: { name, groups: listed.filter((group) => group !== '') } });
  }
  return [...tokens.values()];
}

/** Of a line of CSV (RFC 4180); undefined where a quote stays open, or begins in the middle. */
function fieldsOf(line: string): string[] | undefined {
  const fields: string[] = [];
  for (let at = 0; at <= line.length; at++) {
    if (line[at] !== '"') {
      const comma = line.indexOf(',', at);
      const end = comma < 0 ? line.length : comma;
      const text = line.slice(at, end).trim();
      if (text.includes('"')) return undefined;
      fields.push(text);
      at = end;
      continue;
    }
    let text = '';
    let closed = false;
    for (at++; at < line.length && !closed; at++) {
      if (line[at] !== '"') text += line[at];
      else if (line[at + 1] === '"') text += line[at++];
      else closed = true;
    }
    if (!closed) return undefined;
    fields.push(text);
    // What stands between the quote and the comma is nobody's.
    const comma = line.indexOf(',', at);
    at = comma < 0 ? line.length : comma;
  }
  return fields;
}

/**
 * Tells the tokens of now, and again whenever the file has changed, until the result is called. Throws where the file
 * cannot be read now; later `log` hears of it.
 */
export function followTokens(
  path: string,
  onTokens: (tokens: readonly Token[]) => void,
  log: (message: string) => void,
): () => void {
  let seen = stampOf(path);
  onTokens(readTokens(path));
  const look = () => {
    const now = stampOf(path);
    if (now === seen) return;
    seen = now;
    try {
      onTokens(readTokens(path));
    } catch (error) {
      log(`the tokens stay as they were: ${error instanceof Error ? error.message : error}`);
    }
  };
  // By looking, not by the kernel's events: a file that is replaced, or a mounted one, is followed too.
  const timer = setInterval(look, LOOK_MS);
  timer.unref();
  return () => clearInterval(timer);
}

/** Of what stands there now; why nothing can be seen is said by who reads it then. */
function stampOf(path: string): string {
  try {
    const { mtimeMs, size, ino } = statSync(path);
    return `${mtimeMs} ${size} ${ino}`;
  } catch {
    return 'none';
  }
}

function readTokens(path: string): Token[] {
  const text = readFileSync(path, 'utf8');
  if (text.length > MOST_BYTES) throw new Error(`${path}: has more than ${MOST_BYTES} bytes`);
  return parseTokens(text, path);
}
