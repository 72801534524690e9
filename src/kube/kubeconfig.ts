/**
 * A kubeconfig as kubectl's users have one: which API server, how it is known, who we are to it. Only what needs no
 * other program: certificates and tokens, inline or in files. What cannot be used is refused with the file and field.
 */
import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { parse } from 'yaml';
import { isJsonObject, type JsonObject } from './json-value.ts';

/** Where an API server is, and who we are to it. */
export interface ApiAccess {
  /** Without a slash at its end. */
  server: string;
  /** PEM of the authorities that sign the server's certificate; undefined: those that every program trusts. */
  authority: string | undefined;
  /** PEM; both or neither. */
  certificate: string | undefined;
  key: string | undefined;
  token: string | undefined;
  /** Read again from time to time: tokens of service accounts change. */
  tokenFile: string | undefined;
  /** The name in the server's certificate, where it is not the one in the address. */
  serverName: string | undefined;
  /** The server may be anybody. */
  insecure: boolean;
  /** The context's, `default` where it names none. */
  namespace: string;
}

/** Ways of a user to say who it is that need another program, or speak for somebody else. */
const UNSUPPORTED = ['exec', 'auth-provider', 'username', 'as', 'as-uid', 'as-groups', 'as-user-extra'] as const;

const PEM = '-----BEGIN ';

/** `code` WEFT_KUBECONFIG; the message names file and field. */
export class KubeconfigError extends Error {
  readonly code = 'WEFT_KUBECONFIG';
}

/** Throws KubeconfigError. `context`: another than the file's current one. */
export function readKubeconfig(path: string, context?: string): ApiAccess {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw new KubeconfigError(`${path}: cannot be read: ${(error as NodeJS.ErrnoException).code ?? error}`);
  }
  return parseKubeconfig(text, path, context);
}

/** Files that it names are read too, from its own folder on. */
export function parseKubeconfig(text: string, path: string, context?: string): ApiAccess {
  const reading = new Reading(path);
  const config = reading.parsed(text);
  const wanted = context ?? reading.text(config, 'current-context', '');
  if (!wanted) throw reading.fault('current-context', 'is missing: nothing says which cluster is meant');
  const at = reading.entry(config, 'contexts', wanted, 'context');
  const cluster = reading.entry(config, 'clusters', reading.needed(at, 'cluster'), 'cluster');
  const user = reading.entry(config, 'users', reading.needed(at, 'user'), 'user');
  for (const field of UNSUPPORTED) {
    if ((user.fields[field] ?? '') === '') continue;
    throw reading.fault(`${user.place}.${field}`, 'is not supported: use a client certificate or a token');
  }
  if (cluster.fields['proxy-url']) throw reading.fault(`${cluster.place}.proxy-url`, 'is not supported');
  const certificate = reading.data(user, 'client-certificate');
  const key = reading.data(user, 'client-key');
  if ((certificate === undefined) !== (key === undefined)) {
    throw reading.fault(`${user.place}.client-${key ? 'certificate' : 'key'}`, 'is missing: the two go together');
  }
  const tokenFile = reading.file(user, 'tokenFile');
  return {
    server: reading.server(cluster),
    authority: reading.data(cluster, 'certificate-authority'),
    certificate,
    key,
    token: reading.text(user.fields, 'token', user.place),
    tokenFile: tokenFile?.path,
    serverName: reading.text(cluster.fields, 'tls-server-name', cluster.place),
    insecure: cluster.fields['insecure-skip-tls-verify'] === true,
    namespace: reading.text(at.fields, 'namespace', at.place) ?? 'default',
  };
}

interface Entry {
  place: string;
  fields: JsonObject;
}

class Reading {
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
  }

  fault(field: string, message: string): KubeconfigError {
    return new KubeconfigError(`${this.#path}: ${field}: ${message}`);
  }

  parsed(text: string): JsonObject {
    let value: unknown;
    try {
      value = parse(text, { logLevel: 'error' });
    } catch (error) {
      throw new KubeconfigError(`${this.#path}: cannot be read as YAML: ${(error as Error).message}`);
    }
    if (isJsonObject(value)) return value;
    throw new KubeconfigError(`${this.#path}: is no kubeconfig: it must be a map with clusters, users and contexts`);
  }

  /** The one of a list that has a name. */
  entry(config: JsonObject, list: string, name: string, part: string): Entry {
    const all = config[list];
    const found: unknown = Array.isArray(all) ? all.find((one) => isJsonObject(one) && one.name === name) : undefined;
    if (!isJsonObject(found)) throw this.fault(list, `none is called ${name}`);
    const fields = found[part] ?? {};
    if (!isJsonObject(fields)) throw this.fault(`${list}[${name}].${part}`, 'must be a map');
    return { place: `${list}[${name}].${part}`, fields };
  }

  text(fields: JsonObject, name: string, place: string): string | undefined {
    const value = fields[name];
    if (value === undefined || value === null || value === '') return undefined;
    if (typeof value === 'string') return value;
    throw this.fault(place ? `${place}.${name}` : name, 'must be a string');
  }

  needed({ fields, place }: Entry, name: string): string {
    const value = this.text(fields, name, place);
    if (value === undefined) throw this.fault(`${place}.${name}`, 'is required');
    return value;
  }

  server(cluster: Entry): string {
    const text = this.needed(cluster, 'server');
    const url = URL.canParse(text) ? new URL(text) : undefined;
    if (url?.protocol === 'https:' || url?.protocol === 'http:') return text.replace(/\/+$/, '');
    throw this.fault(`${cluster.place}.server`, `must be an http or https address, not ${text}`);
  }

  /** `NAME-data` in base64, or the file that `NAME` names. */
  data(entry: Entry, name: string): string | undefined {
    const { fields, place } = entry;
    const inline = this.text(fields, `${name}-data`, place);
    if (inline !== undefined) {
      const text = Buffer.from(inline, 'base64').toString('utf8');
      if (text.includes(PEM)) return text;
      throw this.fault(`${place}.${name}-data`, 'must be PEM in base64');
    }
    const file = this.file(entry, name);
    if (file && !file.text.includes(PEM)) throw this.fault(`${place}.${name}`, `${file.path} holds no PEM`);
    return file?.text;
  }

  /** One that it names, from its own folder on. */
  file({ fields, place }: Entry, name: string): { path: string; text: string } | undefined {
    const file = this.text(fields, name, place);
    if (file === undefined) return undefined;
    const path = resolve(dirname(this.#path), file);
    try {
      return { path, text: readFileSync(path, 'utf8') };
    } catch (error) {
      throw this.fault(`${place}.${name}`, `${file} cannot be read: ${(error as NodeJS.ErrnoException).code ?? error}`);
    }
  }
}
