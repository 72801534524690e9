/** What is written down of manifests that were applied: for the next life of the server, and for whoever asks how it is. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Problem } from '../../kube/problem.ts';

/** What the file holds. */
export interface ApplierState {
  applied: readonly AppliedObject[];
  problems: readonly Problem[];
}

export interface AppliedObject {
  apiVersion: string;
  kind: string;
  namespace?: string;
  name: string;
  /** Of the manifest. */
  digest: string;
}

/** In an API server's folder. */
export function applierStateFile(data: string): string {
  return join(data, 'manifests.json');
}

/** Undefined where there is none, or none that can be read. */
export function readApplierState(file: string): ApplierState | undefined {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as ApplierState;
  } catch {
    return undefined;
  }
}
