/**
 * The certificates of an API server's folder, issued once and kept: its own, and those of the users that it writes
 * kubeconfigs for. A restart finds them, and does without the library that signs, which takes longer to load than all
 * the rest of the server.
 */
import { X509Certificate } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { join } from 'node:path';
import type { User } from '../rest/request.ts';
import { ADMINISTRATORS, VIEWERS } from './access.ts';
import type { Authority, Certified } from './authority.ts';
import { writePrivate } from './private-file.ts';

/** Who everybody is that holds the kubeconfigs in a server's folder. */
export const ADMIN: User = { name: 'admin', groups: [ADMINISTRATORS] };
export const VIEWER: User = { name: 'viewer', groups: [VIEWERS] };
/** Nodes take the server's requests for those of an administrator. */
export const SERVER: User = { name: 'weft:apiserver', groups: [ADMINISTRATORS] };

const LOOPBACK = ['127.0.0.1', 'localhost'];
/** One that ends sooner is issued anew. */
const REMAINING_MS = 30 * 24 * 3600 * 1000;

export class Identities {
  /** PEM of the authority's own certificate: what clients trust. */
  readonly authority: string;
  readonly #folder: string;
  readonly #root: X509Certificate;
  #signer: Authority | undefined;

  private constructor(folder: string, authority: string, signer: Authority | undefined) {
    this.#folder = folder;
    this.authority = authority;
    this.#root = new X509Certificate(authority);
    this.#signer = signer;
  }

  /** Of a folder, whose authority is made where there is none. */
  static async open(folder: string): Promise<Identities> {
    const path = join(folder, 'ca.crt');
    if (existsSync(path) && existsSync(join(folder, 'ca.key'))) {
      return new Identities(folder, readFileSync(path, 'utf8'), undefined);
    }
    const signer = await openAuthority(folder);
    return new Identities(folder, signer.certificate, signer);
  }

  /** For a server under these names and addresses, and those of loopback. */
  server(further: readonly string[]): Promise<Certified> {
    const names = [...new Set([...further, ...LOOPBACK])];
    const covers = (certificate: X509Certificate) =>
      names.every((name) => (isIP(name) ? certificate.checkIP(name) : certificate.checkHost(name)) !== undefined);
    return this.#kept('server', covers, (authority) => authority.server(names));
  }

  client({ name: user, groups }: User): Promise<Certified> {
    const subject = [...groups.map((group) => `O=${group}`), `CN=${user}`].join('\n');
    const isTheirs = (certificate: X509Certificate) => certificate.subject === subject;
    return this.#kept(user.replaceAll(/[^\w.-]/g, '_'), isTheirs, (authority) => authority.client(user, groups));
  }

  /** Not kept: a node's agent has its own. */
  async node(name: string): Promise<Certified> {
    this.#signer ??= await openAuthority(this.#folder);
    return this.#signer.node(name);
  }

  async #kept(
    name: string,
    isGood: (certificate: X509Certificate) => boolean,
    issue: (authority: Authority) => Promise<Certified>,
  ): Promise<Certified> {
    const path = join(this.#folder, `${name}.pem`);
    const kept = readCertified(path);
    if (kept && this.#holds(kept.certificate, isGood)) return kept;
    this.#signer ??= await openAuthority(this.#folder);
    const made = await issue(this.#signer);
    writePrivate(path, `${made.key}${made.certificate}`);
    return made;
  }

  #holds(pem: string, isGood: (certificate: X509Certificate) => boolean): boolean {
    try {
      const certificate = new X509Certificate(pem);
      const lasts = Date.parse(certificate.validTo) > Date.now() + REMAINING_MS;
      return lasts && certificate.verify(this.#root.publicKey) && isGood(certificate);
    } catch {
      return false;
    }
  }
}

async function openAuthority(folder: string): Promise<Authority> {
  return (await import('./authority.ts')).Authority.open(folder);
}

function readCertified(path: string): Certified | undefined {
  try {
    const [, key = '', certificate = ''] =
      /^(-+BEGIN PRIVATE KEY.*END PRIVATE KEY-+\s)(-+BEGIN CERT.*)$/s.exec(readFileSync(path, 'utf8')) ?? [];
    return key && certificate ? { key, certificate } : undefined;
  } catch {
    return undefined;
  }
}
