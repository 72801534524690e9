/**
 * An agent's kubeconfig while the agent runs: read again from time to time, so that certificates and tokens that were
 * renewed in it, or in the files that it names, are shown from then on. Which server is followed is said at the start.
 */
import { X509Certificate } from 'node:crypto';
import { createSecureContext } from 'node:tls';
import { isDeepStrictEqual } from 'node:util';
import { type ApiAccess, KubeconfigError, readKubeconfig } from '../../kube/kubeconfig.ts';
import { describeError } from '../agent-error.ts';

const LOOK_MS = 30_000;
/** The part of a certificate's life at whose beginning it should have been renewed. */
const LAST_PART = 0.1;

/** As readKubeconfig(); throws also where certificates cannot be read, or a key is not that of its certificate. */
export function usableAccess(path: string): ApiAccess {
  const access = readKubeconfig(path);
  const { authority: ca, certificate: cert, key } = access;
  try {
    if (ca !== undefined || cert !== undefined) createSecureContext({ ca, cert, key });
  } catch (error) {
    throw new KubeconfigError(`${path}: its certificates cannot be used: ${describeError(error)}`);
  }
  return access;
}

export interface KubeconfigWatchParts {
  path: string;
  /** What it said at the start. */
  access: ApiAccess;
  /** There are others to be shown from now on. */
  renewed(access: ApiAccess): void;
  now?: () => number;
}

export class KubeconfigWatch {
  readonly #parts: KubeconfigWatchParts;
  #access: ApiAccess;
  #fault = '';
  #timer: NodeJS.Timeout | undefined;

  constructor(parts: KubeconfigWatchParts) {
    this.#parts = parts;
    this.#access = parts.access;
  }

  start(): void {
    this.#timer = setInterval(() => this.look(), LOOK_MS);
    this.#timer.unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  look(): void {
    const { path, renewed } = this.#parts;
    try {
      const next = usableAccess(path);
      if (next.server !== this.#access.server) {
        this.#fault = `${path} names ${next.server} now: start the agent again to follow that`;
        return;
      }
      this.#fault = '';
      if (isDeepStrictEqual(next, this.#access)) return;
      this.#access = next;
      renewed(next);
    } catch (error) {
      const [what = ''] = describeError(error).split('\n');
      this.#fault = `${what.replace(/:$/, '')}: what it said before stays in force`;
    }
  }

  problems(): string[] {
    const { certificate } = this.#access;
    const ending = certificate === undefined ? '' : endOf(certificate, (this.#parts.now ?? Date.now)());
    const renew = ending && `${this.#parts.path}: ${ending}: write one with another into its place, it is read again`;
    return [this.#fault, renew].filter((text) => text !== '');
  }
}

/** That a certificate (PEM) ends soon, or has ended, in words; else ''. */
function endOf(certificate: string, nowMs: number): string {
  const { validFrom, validTo } = new X509Certificate(certificate);
  const [from, to] = [Date.parse(validFrom), Date.parse(validTo)];
  if (nowMs < to - (to - from) * LAST_PART) return '';
  return `its client certificate ${nowMs < to ? 'ends' : 'ended'} at ${new Date(to).toISOString().slice(0, 16)}Z`;
}
