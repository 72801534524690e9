/**
 * What stands for images: there is no registry and nothing is unpacked, a container's processes run from the host's
 * file system. An image that is known here says what runs where a container names no command; docs/images.md has the
 * table for people.
 */
import { readFileSync } from 'node:fs';
import type { Container } from 'kubernetes-types/core/v1.js';
import { parse } from 'yaml';
import { AgentError } from '../agent-error.ts';

/** As in an image's own configuration: `args` take the place of `cmd`, `command` that of both. */
export interface ImageProgram {
  entrypoint: readonly string[];
  cmd: readonly string[];
  /** Programs inside the image that a command may name, and what they are here. */
  paths?: Readonly<Record<string, readonly string[]>>;
}

/** By name without registry, tag and digest. */
export type ImageMap = ReadonlyMap<string, ImageProgram>;

const program = (name: string): readonly string[] => ['weft', 'image', name];
const shell: ImageProgram = { entrypoint: [], cmd: ['sh'] };
const sleeper: ImageProgram = {
  entrypoint: ['sleep', 'infinity'],
  cmd: [],
  paths: { '/pause': ['sleep', 'infinity'] },
};

export const BUILT_IN_IMAGES: ImageMap = new Map<string, ImageProgram>([
  ['nginx', { entrypoint: program('nginx'), cmd: [], paths: { nginx: program('nginx') } }],
  // The StatefulSet tutorials' one.
  ['nginx-slim', { entrypoint: program('nginx'), cmd: [], paths: { nginx: program('nginx') } }],
  ['busybox', shell],
  ['alpine', shell],
  ['debian', shell],
  ['ubuntu', shell],
  ['agnhost', { entrypoint: program('agnhost'), cmd: ['pause'], paths: { '/agnhost': program('agnhost') } }],
  ['serve-hostname', { entrypoint: [...program('agnhost'), 'serve-hostname'], cmd: [] }],
  ['serve_hostname', { entrypoint: [...program('agnhost'), 'serve-hostname'], cmd: [] }],
  ['pause', sleeper],
  ...['kubernetes-bootcamp', 'hello-app', 'httpd', 'echoserver'].map((name): [string, ImageProgram] => {
    return [name, { entrypoint: [...program('hello'), name], cmd: [] }];
  }),
  ['curl', { entrypoint: [], cmd: ['curl', '--version'] }],
  ['busyboxplus', shell],
  ['dnsutils', { entrypoint: [], cmd: ['sleep', 'infinity'] }],
  ['jessie-dnsutils', { entrypoint: [], cmd: ['sleep', 'infinity'] }],
]);

/** `registry.k8s.io/e2e-test-images/agnhost:2.39@sha256:…` is `…/agnhost`. */
function plainName(image: string): string {
  const name = image.split('@')[0] as string;
  const colon = name.lastIndexOf(':');
  return colon > name.lastIndexOf('/') ? name.slice(0, colon) : name;
}

/** The longest name of the map that the image ends with, whole parts of its path. */
export function findImage(image: string, images: ImageMap): ImageProgram | undefined {
  const parts = plainName(image).split('/');
  for (let from = 0; from < parts.length; from++) {
    const found = images.get(parts.slice(from).join('/'));
    if (found) return found;
  }
  return undefined;
}

/** What a container runs, before variables are expanded; nothing where its image is unknown and it has no command. */
export function containerCommand(container: Container, images: ImageMap): readonly string[] | undefined {
  const { command = [], args = [] } = container;
  const image = container.image ? findImage(container.image, images) : undefined;
  if (command.length > 0) {
    const [file, ...more] = command as [string, ...string[]];
    const standIn = image?.paths && Object.hasOwn(image.paths, file) ? image.paths[file] : undefined;
    return [...(standIn ?? [file]), ...more, ...args];
  }
  if (!image) return undefined;
  return [...image.entrypoint, ...(args.length > 0 ? args : image.cmd)];
}

/** The built-in ones and, before them, those of a file: a map of image names to commands. */
export function readImageMap(path: string | undefined): ImageMap {
  if (path === undefined) return BUILT_IN_IMAGES;
  const remedy = 'write a map of image names to commands, as in: my-app: [python3, -m, http.server]';
  const refuse = (why: string, cause?: unknown): never => {
    throw new AgentError('bad-option', `--images ${path}: ${why}`, remedy, cause);
  };
  let read: unknown;
  try {
    read = parse(readFileSync(path, 'utf8'));
  } catch (error) {
    return refuse((error as Error).message, error);
  }
  if (typeof read !== 'object' || read === null || Array.isArray(read)) return refuse('is no map');
  const images = new Map(BUILT_IN_IMAGES);
  for (const [name, command] of Object.entries(read as Record<string, unknown>)) {
    const words = Array.isArray(command) ? command : [];
    if (words.length === 0 || !words.every((word) => typeof word === 'string')) {
      return refuse(`${name}: must be a list of words`);
    }
    images.set(plainName(name), { entrypoint: words, cmd: [] });
  }
  return images;
}
