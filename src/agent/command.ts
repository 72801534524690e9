/**
 * Runs one of the system's own tools (ip, nft) with a script on its standard input, and turns its failure into an
 * error that names the tool and what it said. The agent changes the kernel's configuration this way, in few spawns.
 */
import { spawn } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { AgentError } from './agent-error.ts';

const TOOL_PACKAGES: Record<string, string> = {
  ip: 'iproute2',
  nft: 'nftables',
  nsenter: 'util-linux',
  setsid: 'util-linux',
  unshare: 'util-linux',
  mount: 'mount',
  sh: 'dash',
};

/** System folders that a PATH may lack. */
const SYSTEM_PATH = ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin'];

/** The path of a tool, or undefined where there is none. */
export function findTool(name: string, path = process.env.PATH ?? ''): string | undefined {
  for (const folder of [...path.split(delimiter), ...SYSTEM_PATH]) {
    if (!folder) continue;
    const file = join(folder, name);
    try {
      accessSync(file, constants.X_OK);
      return file;
    } catch {
      // Not here.
    }
  }
  return undefined;
}

export function requireTool(name: string): string {
  const path = findTool(name);
  if (path) return path;
  const pack = TOOL_PACKAGES[name] ?? name;
  throw new AgentError('missing-tool', `the program ${name} is missing`, `install the package ${pack}`);
}

/** Runs a tool to its end; resolves with its standard output, rejects with what it said on standard error. */
export function runTool(name: string, args: readonly string[], input = ''): Promise<string> {
  const path = requireTool(name);
  return new Promise((done, fail) => {
    const child = spawn(path, args, { stdio: ['pipe', 'pipe', 'pipe'] });
    let out = '';
    let err = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      out += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      err += text;
    });
    // A tool that fails early closes its input; its exit code says more than EPIPE.
    child.stdin.on('error', () => {});
    child.on('error', (error) =>
      fail(new AgentError('tool-failed', `${name} ${args.join(' ')}`, error.message, error)),
    );
    child.on('close', (code, signal) => {
      if (code === 0) return done(out);
      const said = err.trim().split('\n').slice(0, 4).join('; ') || `ended with ${signal ?? `code ${code}`}`;
      fail(new AgentError('tool-failed', `${name} ${args.join(' ')}: ${said}`));
    });
    child.stdin.end(input);
  });
}

/** `ip -batch`: all lines in one spawn; with `force`, one that fails does not hold up the others. */
export async function ipBatch(lines: readonly string[], at: { netns?: string; force?: boolean } = {}): Promise<void> {
  if (lines.length === 0) return;
  const args = [...(at.netns ? ['-n', at.netns] : []), ...(at.force ? ['-force'] : []), '-batch', '-'];
  try {
    await runTool('ip', args, `${lines.join('\n')}\n`);
  } catch (error) {
    if (!at.force) throw error;
  }
}
