/** The version of this weft, from the package it is part of. */
import { readFileSync } from 'node:fs';

export function weftVersion(): string {
  for (let folder = new URL('.', import.meta.url); ; folder = new URL('..', folder)) {
    try {
      const { name, version } = JSON.parse(readFileSync(new URL('package.json', folder), 'utf8')) as {
        name: string;
        version: string;
      };
      if (name === 'weft') return version;
    } catch {
      if (folder.pathname === '/') return 'unknown';
    }
  }
}
