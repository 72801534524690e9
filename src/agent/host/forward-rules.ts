/**
 * A way through a firewall that forbids forwarding unless told otherwise, as Docker's and ufw's do: what pods exchange
 * with the world, and the frames that the kernel carries on for the tunnel, count as forwarded. One `accept` of a table
 * of our own would not do, because any table may drop: the rules go into the chain that iptables keeps, by nft, in words
 * that iptables can read as well.
 */
import { findTool, runTool } from '../command.ts';

const CHAINS = ['ip filter FORWARD', 'ip6 filter FORWARD'];
/**
 * The tunnel's frames are the host's own, and come before anything else. What pods exchange with the world comes after
 * the user's rules, which may forbid some of it: it is spared the chain's policy alone.
 */
const RULES = [
  ['insert', 'iifname "weft-gso"'],
  ['add', 'iifname "weft0"'],
  ['add', 'oifname "weft0"'],
] as const;
/** As we write them and not otherwise: a rule that says more is the user's. */
const OWN = /^\s*(iifname "weft-gso"|[io]ifname "weft0") counter packets \d+ bytes \d+ accept # handle (\d+)$/gm;

/** Commands that make a chain, as `nft -a` lists it, as it should be; '' where nothing is to be done. */
export function forwardCommands(listing: string, wanted: boolean, chain = CHAINS[0]): string {
  const add = wanted && forbids(listing);
  const had = [...listing.matchAll(OWN)];
  if (add && had.length === RULES.length && new Set(had.map(([, match]) => match)).size === RULES.length) return '';
  const remove = had.map(([, , handle]) => `delete rule ${chain} handle ${handle}\n`);
  const rules = add ? RULES.map(([verb, match]) => `${verb} rule ${chain} ${match} counter accept\n`) : [];
  return [...remove, ...rules].join('');
}

/** Whether a firewall is in the way. */
export async function forwardingForbidden(): Promise<boolean> {
  for (const chain of CHAINS) if (forwardCommands(await list(chain), true, chain) !== '') return true;
  return false;
}

/** Returns what could not be had, as sentences. */
export async function admitForwarding(): Promise<string[]> {
  return change(true).then(
    () => [],
    (error: Error) => [`the firewall forbids forwarding, and refused rules that let pods through: ${error.message}`],
  );
}

export async function withdrawForwarding(): Promise<void> {
  await change(false).catch(() => {});
}

async function change(wanted: boolean): Promise<void> {
  const commands = await Promise.all(CHAINS.map(async (chain) => forwardCommands(await list(chain), wanted, chain)));
  if (commands.join('') !== '') await runTool('nft', ['-f', '-'], commands.join(''));
}

function forbids(listing: string): boolean {
  return /hook forward [^\n]*policy drop/.test(listing);
}

/** The chain, or '' where there is none. */
async function list(chain: string): Promise<string> {
  if (!findTool('nft')) return '';
  return runTool('nft', ['-a', 'list', 'chain', ...chain.split(' ')]).catch(() => '');
}
