/** The same subject on another way than from pod to pod across hosts. */
import type { Path, Row, Subject } from './contest.ts';

/** Between variant and row: tcp-1/service. */
export const VARIANT = '/';

/** The client connects to a service that the server pod is the one endpoint of. */
export function throughService(subject: Subject): Subject {
  return variant(subject, 'service', 'through a service', (path) => {
    const { service } = path.contender;
    return service === undefined ? undefined : { ...path, address: service };
  });
}

/** Client and server are pods of one host. */
export function onOneHost(subject: Subject): Subject {
  return variant(subject, 'one-host', 'pods of one host', (path) => {
    const { local } = path.contender;
    return local && { ...path, server: local, address: local.address };
  });
}

/** Its rows as a stage or a path names them: values keep the subject's own names. */
export function renamed(rows: readonly Row[], name: string, title: string): Row[] {
  return rows.map((row) => ({ ...row, name: `${row.name}${VARIANT}${name}`, title: `${row.title}, ${title}` }));
}

function variant(subject: Subject, name: string, title: string, lead: (path: Path) => Path | undefined): Subject {
  return {
    name: `${subject.name}${VARIANT}${name}`,
    rows: renamed(subject.rows, name, title),
    seconds: subject.seconds,
    async measure(path) {
      const other = lead(path);
      const measurement = other && (await subject.measure(other));
      if (!measurement) return undefined;
      const values = Object.entries(measurement.values).map(([row, n]) => [`${row}${VARIANT}${name}`, n]);
      return { ...measurement, values: Object.fromEntries(values) };
    },
  };
}
