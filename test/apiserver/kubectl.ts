/** The real kubectls of this machine, each with a home of its own: they keep what they discovered there. */
import { execFile } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

export interface Kubectl {
  /** `1.30`, or `kubectl` for the one on PATH. */
  name: string;
  path: string;
}

/** The one on PATH, and those with a version in their name that stand beside it or in another folder of PATH. */
export function findKubectls(): Kubectl[] {
  const folders = new Set((process.env.PATH ?? '').split(delimiter));
  folders.add('/usr/lib/google-cloud-sdk/bin');
  const found = new Map<string, string>();
  for (const folder of folders) {
    if (!existsSync(folder)) continue;
    for (const file of readdirSync(folder)) {
      const [, version] = /^kubectl(?:\.(\d+\.\d+))?$/.exec(file) ?? [undefined, undefined];
      if (file === 'kubectl' || version) {
        const name = version ?? 'kubectl';
        if (!found.has(name)) found.set(name, join(folder, file));
      }
    }
  }
  return [...found]
    .map(([name, path]) => ({ name, path }))
    .sort((a, b) => a.name.localeCompare(b.name, 'en', { numeric: true }));
}

/** Standard output; throws with what it said on standard error. */
export async function kubectl(
  tool: Kubectl,
  kubeconfig: string,
  words: readonly string[],
  more: Record<string, string> = {},
  input?: string,
): Promise<string> {
  const home = join(dirname(kubeconfig), `home-${tool.name}`);
  const env = { PATH: process.env.PATH, HOME: home, KUBECONFIG: kubeconfig, ...more };
  try {
    const running = run(tool.path, [...words], { env, timeout: 60_000, maxBuffer: 1 << 24 });
    if (input !== undefined) running.child.stdin?.end(input);
    return (await running).stdout;
  } catch (error) {
    const { stderr, stdout } = error as { stderr?: string; stdout?: string };
    throw new Error(`kubectl ${words.join(' ')}: ${stderr || stdout || error}`);
  }
}
