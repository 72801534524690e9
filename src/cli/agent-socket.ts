/** Where the agent that a command is meant for can be asked: the socket given, or the only one of this host. */
import { existsSync, readdirSync } from 'node:fs';
import { AgentError } from '../agent/agent-error.ts';

export function socketOf(options: { socket?: string }): string {
  if (options.socket !== undefined) return options.socket;
  const [only, ...more] = sockets();
  if (only === undefined)
    throw new AgentError('no-agent', 'no agent runs here', 'start one with weft agent, or say --socket');
  if (more.length > 0)
    throw new AgentError('no-agent', 'several agents run here', `say --socket, one of ${[only, ...more].join(', ')}`);
  return only;
}

/** Of all agents on this host that keep their state where agents do. */
export function sockets(): string[] {
  const root = '/run/weft';
  if (!existsSync(root)) return [];
  return readdirSync(root)
    .map((node) => `${root}/${node}/agent.sock`)
    .filter((path) => existsSync(path));
}
