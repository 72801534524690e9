/** Packets that the kernel found damaged, in a namespace: a network that is fast because it corrupts is not fast. */
import { inNamespace, run } from './command.ts';

export async function checksumErrors(namespaces: Iterable<string>): Promise<number> {
  let errors = 0;
  for (const name of new Set(namespaces)) {
    errors += countChecksumErrors(await run(inNamespace(name, ['cat', '/proc/net/snmp'])));
  }
  return errors;
}

/** /proc/net/snmp: lines come in pairs, names, then numbers. */
export function countChecksumErrors(snmp: string): number {
  const rows = snmp
    .trim()
    .split('\n')
    .map((line) => line.split(/\s+/));
  let errors = 0;
  for (let i = 0; i + 1 < rows.length; i += 2) {
    rows[i]?.forEach((name, column) => {
      if (name === 'InCsumErrors') errors += Number(rows[i + 1]?.[column] ?? 0);
    });
  }
  return errors;
}
