/** A kubeconfig for one user of one server: what kubectl needs to know, in one file. */
import { stringify } from 'yaml';
import type { Certified } from './authority.ts';

export interface KubeconfigParts {
  /** `https://127.0.0.1:6443`. */
  server: string;
  user: string;
  /** PEM of the authority that signed the server's certificate; undefined for plain http. */
  authority: string | undefined;
  credentials: Certified | undefined;
}

export function kubeconfig({ server, user, authority, credentials }: KubeconfigParts): string {
  const base64 = (text: string) => Buffer.from(text).toString('base64');
  const cluster = { server, ...(authority ? { 'certificate-authority-data': base64(authority) } : {}) };
  const own = credentials
    ? {
        'client-certificate-data': base64(credentials.certificate),
        'client-key-data': base64(credentials.key),
      }
    : {};
  return stringify(
    {
      apiVersion: 'v1',
      kind: 'Config',
      clusters: [{ name: 'weft', cluster }],
      users: [{ name: user, user: own }],
      contexts: [{ name: 'weft', context: { cluster: 'weft', user } }],
      'current-context': 'weft',
    },
    { lineWidth: 0 },
  );
}
