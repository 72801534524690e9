/**
 * The rooms of the house, from the ground up, as the structure tests read them: a room imports only from itself and
 * from rooms on a lower number. Rooms that share a number stand beside each other and do not import one another,
 * save those of the top floor, which are one program's outside.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';

export const FLOOR: Readonly<Record<string, number>> = {
  wire: 0,
  io: 1,
  tables: 2,
  dataplane: 3,
  kube: 4,
  control: 5,
  dns: 6,
  relay: 6,
  cni: 6,
  apiserver: 7,
  agent: 8,
  lab: 9,
  observe: 9,
  cli: 9,
};
export const TOP_FLOOR = 9;

/** The checkout's root: this file runs from dist/test/house/ as well as from test/house/. */
export const ROOT = findRoot(import.meta.dirname);

function findRoot(start: string): string {
  let at = start;
  while (!readdirSync(at).includes('package-lock.json')) {
    if (dirname(at) === at) throw new Error(`no package-lock.json above ${start}`);
    at = dirname(at);
  }
  return at;
}

/** Paths relative to the root of every file below a folder whose name ends so. */
export function filesBelow(folder: string, ending: string): string[] {
  return readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .filter((f) => f.endsWith(ending) && !f.split('/').includes('build'))
    .map((f) => join(folder, f))
    .sort();
}

export function readText(path: string): string {
  return readFileSync(join(ROOT, path), 'utf8');
}

export interface ImportLine {
  file: string;
  /** As written. */
  specifier: string;
  /** Relative to the root, for imports of our own files. */
  target: string | null;
}

/** Static imports, re-exports and dynamic imports, types included. */
export function importsOf(path: string): ImportLine[] {
  const text = readText(path).replace(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, '');
  const found = text.matchAll(/(?:\bfrom\s+|\bimport\s*\(\s*|^\s*import\s+)['"]([^'"]+)['"]/gm);
  return [...found].map(([, specifier = '']) => ({
    file: path,
    specifier,
    target: specifier.startsWith('.') ? resolve('/', dirname(path), specifier).slice(1) : null,
  }));
}

/** 'wire' for src/wire/ipv4.ts; null outside of src/. */
export function roomOf(path: string): string | null {
  return /^src\/([^/]+)\//.exec(path)?.[1] ?? null;
}
