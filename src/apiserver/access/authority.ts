/**
 * The cluster's own certificate authority, made at the first start and kept in a folder: it signs the server's
 * certificate and those of clients, whose subject says who they are (CN the user, O the groups), as Kubernetes has it.
 */
import 'reflect-metadata';
import { randomBytes, webcrypto } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { join } from 'node:path';
import * as x509 from '@peculiar/x509';
import { NODE_PREFIX, NODES } from './access.ts';
import { writePrivate } from './private-file.ts';

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
const DAY_MS = 24 * 3600 * 1000;
const AUTHORITY_DAYS = 3650;
const CERTIFICATE_DAYS = 365;
/** Clocks differ. */
const BACKDATE_MS = 5 * 60 * 1000;

x509.cryptoProvider.set(webcrypto as never);

type CryptoKey = webcrypto.CryptoKey;

export interface Certified {
  /** PEM. */
  certificate: string;
  key: string;
}

export class Authority {
  /** PEM of the authority's own certificate: what clients trust. */
  readonly certificate: string;
  readonly #certificate: x509.X509Certificate;
  readonly #key: CryptoKey;

  private constructor(certificate: string, key: CryptoKey) {
    this.certificate = certificate;
    this.#certificate = new x509.X509Certificate(certificate);
    this.#key = key;
  }

  /** The one in a folder, which is made where there is none. */
  static async open(folder: string): Promise<Authority> {
    const certificatePath = join(folder, 'ca.crt');
    const keyPath = join(folder, 'ca.key');
    if (existsSync(certificatePath) && !existsSync(keyPath)) {
      throw new Error(`${keyPath} is missing: nothing is signed without it, and all trust ${certificatePath}`);
    }
    if (!existsSync(certificatePath)) {
      mkdirSync(folder, { recursive: true, mode: 0o700 });
      const { certificate, key } = await makeAuthority();
      writePrivate(keyPath, key);
      writePrivate(certificatePath, certificate);
    }
    const key = await importKey(readFileSync(keyPath, 'utf8'));
    return new Authority(readFileSync(certificatePath, 'utf8'), key);
  }

  /** For a server under these names and addresses. */
  server(names: readonly string[]): Promise<Certified> {
    const alternative = names.map((value) => ({ type: isIP(value) ? ('ip' as const) : ('dns' as const), value }));
    return this.#issue(
      [{ CN: ['weft-apiserver'] }],
      [
        new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
        new x509.SubjectAlternativeNameExtension(alternative),
      ],
    );
  }

  client(user: string, groups: readonly string[]): Promise<Certified> {
    const subject = [...groups.map((group) => ({ O: [group] })), { CN: [user] }];
    return this.#issue(subject, [new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.clientAuth])]);
  }

  /** For the agent of a node: it is known by this to the server, and the server's requests to the agent find it by it. */
  node(name: string): Promise<Certified> {
    return this.#issue(
      [{ O: [NODES] }, { CN: [`${NODE_PREFIX}${name}`] }],
      [
        new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.clientAuth, x509.ExtendedKeyUsage.serverAuth]),
        new x509.SubjectAlternativeNameExtension([{ type: 'dns', value: name }]),
      ],
    );
  }

  async #issue(subject: x509.JsonName, extensions: x509.Extension[]): Promise<Certified> {
    const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
    const certificate = await x509.X509CertificateGenerator.create({
      serialNumber: serialNumber(),
      subject,
      issuer: this.#certificate.subject,
      ...validity(CERTIFICATE_DAYS),
      signingAlgorithm: ALGORITHM,
      publicKey: keys.publicKey,
      signingKey: this.#key,
      extensions: [
        new x509.BasicConstraintsExtension(false, undefined, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
        await x509.AuthorityKeyIdentifierExtension.create(this.#certificate),
        ...extensions,
      ],
    });
    return { certificate: pemOf(certificate), key: await exportKey(keys.privateKey) };
  }
}

async function makeAuthority(): Promise<Certified> {
  const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: serialNumber(),
    name: 'CN=weft-ca',
    ...validity(AUTHORITY_DAYS),
    signingAlgorithm: ALGORITHM,
    keys,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return { certificate: pemOf(certificate), key: await exportKey(keys.privateKey) };
}

function validity(days: number): { notBefore: Date; notAfter: Date } {
  const now = Date.now();
  return { notBefore: new Date(now - BACKDATE_MS), notAfter: new Date(now + days * DAY_MS) };
}

/** Positive, of 16 random bytes (RFC 5280, 4.1.2.2). */
function serialNumber(): string {
  const bytes = randomBytes(16);
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40;
  return bytes.toString('hex');
}

function pemOf(certificate: x509.X509Certificate): string {
  return `${certificate.toString('pem')}\n`;
}

async function exportKey(key: CryptoKey): Promise<string> {
  const bytes = await webcrypto.subtle.exportKey('pkcs8', key);
  return `${x509.PemConverter.encode(bytes, 'PRIVATE KEY')}\n`;
}

function importKey(pem: string): Promise<CryptoKey> {
  const [bytes] = x509.PemConverter.decode(pem);
  if (!bytes) throw new Error("the authority's key is no PEM");
  return webcrypto.subtle.importKey('pkcs8', bytes, ALGORITHM, false, ['sign']);
}
