/** The same subject on another way than from pod to pod across hosts. */
import type { Measurement, Path, Row, Subject } from './contest.ts';

/** Between variant and row: tcp-1/service. */
export const VARIANT = '/';

/** The client connects to a service that the server pod is the one endpoint of. */
export function throughService(subject: Subject): Subject {
  return variant(subject, 'service', 'through a service', (path) => {
    const { service, otherEndpoints = [] } = path.contender;
    return service === undefined ? undefined : { ...path, address: service, otherServers: otherEndpoints };
  });
}

/**
 * Both ways in one measurement, pod to pod and through the service, one right after the other, and what the service
 * makes of the first row. Which way is first changes from time to time.
 */
export function besideDirect(subject: Subject): Subject {
  const through = throughService(subject);
  const [main] = subject.rows;
  if (!main) throw new Error(`${subject.name} has no row`);
  const { name } = main;
  const share = `${name}${VARIANT}share`;
  let turn = 0;
  return {
    name: subject.name,
    rows: [
      ...through.rows,
      ...subject.rows.map((row) => ({ ...row, title: `${row.title}, direct` })),
      { name: share, title: `${main.title}, through a service / direct`, unit: 'of direct', better: main.better },
    ],
    seconds: 2 * subject.seconds,
    async measure(path) {
      const ways = turn++ % 2 === 0 ? [subject, through] : [through, subject];
      const both = new Map<Subject, Measurement | undefined>();
      for (const way of ways) both.set(way, await way.measure(path));
      const [direct, served] = [both.get(subject), both.get(through)];
      if (!direct || !served) return undefined;
      const ratio = (served.values[`${name}${VARIANT}service`] ?? Number.NaN) / (direct.values[name] ?? Number.NaN);
      return {
        values: { ...direct.values, ...served.values, ...(Number.isFinite(ratio) && { [share]: ratio }) },
        ...(served.detail && { detail: served.detail }),
      };
    },
  };
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
