/** Checksum errors that a namespace's kernel counted (proc/net/snmp and netstat): any is a fault of a packet's maker. */
import type { Entry } from './exec.ts';
import { mustRun } from './run.ts';

/** By counter, `Tcp InCsumErrors` for one; those that are not zero. */
export async function checksumErrors(entry: Entry): Promise<Record<string, number>> {
  return parseChecksumErrors(await mustRun(entry, ['cat', '/proc/net/snmp', '/proc/net/netstat']));
}

/** Lines come in pairs: a group's names, then its values. */
export function parseChecksumErrors(text: string): Record<string, number> {
  const found: Record<string, number> = {};
  const lines = text.split('\n');
  for (let i = 0; i + 1 < lines.length; i += 2) {
    const names = lines[i]?.split(' ') ?? [];
    const values = lines[i + 1]?.split(' ') ?? [];
    names.forEach((name, field) => {
      const value = Number(values[field]);
      if (name.endsWith('InCsumErrors') && value > 0) found[`${names[0]?.replace(':', '')} ${name}`] = value;
    });
  }
  return found;
}
