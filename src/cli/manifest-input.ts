/** The objects in the files, folders and standard input that `weft apply -f` and `weft delete -f` are given. */
import { text } from 'node:stream/consumers';
import { type ServedKind, servedApiVersion } from '../kube/discovery.ts';
import { type ManifestKinds, parseManifest } from '../kube/manifest.ts';
import { listManifests, readManifestFile } from '../kube/manifest-files.ts';
import type { NamedObject } from '../kube/objects.ts';
import { formatProblem } from '../kube/problem.ts';
import type { Cluster } from './cluster.ts';

export interface GivenObject {
  object: NamedObject & Record<string, unknown>;
  kind: ServedKind;
}

/** What cannot be read is said on standard error, with its line; `bad` says that there was some. */
export async function readObjects(
  cluster: Cluster,
  files: readonly string[],
): Promise<{ objects: GivenObject[]; bad: boolean }> {
  const served = new Map<string, ServedKind>();
  for (const kind of await cluster.discovery.all()) {
    const title = `${servedApiVersion(kind)} ${kind.kind}`;
    if (!served.has(title)) served.set(title, kind);
  }
  const find = (apiVersion: string, kind: string) => served.get(`${apiVersion} ${kind}`);
  const kinds: ManifestKinds<NamedObject> = {
    // One that the server lacks is refused below, with the place where it stands.
    isKnown: () => true,
    isNamespaced: (apiVersion, kind) => find(apiVersion, kind)?.namespaced ?? true,
    namespace: cluster.namespace,
    read(value) {
      const { apiVersion, kind, metadata } = value as Record<string, unknown> & { metadata?: { name?: unknown } };
      if (!find(String(apiVersion), String(kind))) {
        return [{ path: ['kind'], message: `no matches for kind ${kind} in version ${apiVersion}` }];
      }
      const { name } = metadata ?? {};
      if (typeof name === 'string' && name !== '') return value as unknown as NamedObject;
      return [{ path: ['metadata', 'name'], message: 'is required' }];
    },
  };
  const objects: GivenObject[] = [];
  let bad = false;
  for (const { file, content } of await contentsOf(files)) {
    const manifest = parseManifest(content, file, kinds);
    for (const problem of manifest.problems) console.error(`weft: ${formatProblem(problem)}`);
    bad ||= manifest.problems.length > 0;
    for (const { object } of manifest.objects) {
      const kind = find(object.apiVersion, object.kind);
      if (kind) objects.push({ object: object as GivenObject['object'], kind });
    }
  }
  return { objects, bad };
}

async function contentsOf(files: readonly string[]): Promise<{ file: string; content: string }[]> {
  const contents: { file: string; content: string }[] = [];
  for (const given of files) {
    if (given === '-') {
      contents.push({ file: 'standard input', content: await text(process.stdin) });
      continue;
    }
    const listing = await listManifests([given]);
    for (const [path, why] of listing.failed) throw new Error(`${path} ${why}`);
    for (const file of listing.files) {
      const reading = await readManifestFile(file, undefined);
      if (reading.kind === 'text') contents.push({ file, content: reading.text });
      else throw new Error(`${file} ${reading.kind === 'failed' ? reading.reason : 'does not exist'}`);
    }
  }
  return contents;
}
