/**
 * `weft doctor`: everything that must be right for pods to reach each other, looked at now, with what to do about
 * what is not. Without an agent it can check the host; an agent adds what it knows and asks its peers.
 */
import { readFileSync } from 'node:fs';
import { formatProblem, type Problem } from '../kube/problem.ts';
import { describeError } from './agent-error.ts';
import { forwardingForbidden } from './host/forward-rules.ts';
import { hasIpv6 } from './host/host-ipv6.ts';
import { hostChecks } from './host-checks.ts';
import type { AgentStatus, Check, PeerStatus } from './status.ts';

export async function agentChecks(status: AgentStatus, probe: () => Promise<PeerStatus[]>): Promise<Check[]> {
  const checks = hostChecks();
  checks.push({
    name: 'agent',
    ok: status.ready,
    detail: status.ready ? `ready, tables of generation ${status.generation}` : status.notReady,
    remedy: status.ready ? '' : 'see its log',
  });
  checks.push({ name: 'offload', ok: true, detail: `${status.offload.mode} (${status.offload.detail})`, remedy: '' });
  checks.push(forwardingCheck('ip forwarding', 'net/ipv4/ip_forward', 'the outside world'));
  if (status.gateway6 && hasIpv6()) {
    checks.push(forwardingCheck('IPv6 forwarding', 'net/ipv6/conf/all/forwarding', 'the outside world over IPv6'));
  }
  checks.push(await firewallCheck());
  checks.push(...status.problems.map(problemCheck));
  checks.push(...status.pods.filter((p) => p.phase === 'Failed' || p.message).map(podCheck));
  try {
    checks.push(...(await probe()).map(peerCheck));
  } catch (error) {
    checks.push({ name: 'peers', ok: false, detail: describeError(error), remedy: 'see above', optional: true });
  }
  return checks;
}

function forwardingCheck(name: string, sysctl: string, world: string): Check {
  const on = readFileSync(`/proc/sys/${sysctl}`, 'latin1').trim() === '1';
  const remedy = on ? '' : `something turned it off again: sysctl -w ${sysctl.replaceAll('/', '.')}=1`;
  return { name, ok: on, detail: on ? 'on' : `off: pods cannot reach ${world}`, remedy };
}

async function firewallCheck(): Promise<Check> {
  const ok = !(await forwardingForbidden());
  // One that was set up after the agent knows nothing of it.
  const remedy = ok ? '' : 'start the agent again, which asks the firewall to let its devices through';
  const detail = ok ? 'lets the pods’ packets through' : 'forbids forwarding, also of what pods send to other hosts';
  return { name: 'firewall', ok, detail, remedy };
}

function problemCheck(problem: Problem): Check {
  const optional = problem.severity === 'warning';
  return { name: 'problem', ok: false, detail: formatProblem(problem), remedy: '', ...(optional ? { optional } : {}) };
}

function podCheck(pod: AgentStatus['pods'][number]): Check {
  const detail = pod.message || pod.containers.map((c) => `${c.name}: ${c.reason || c.state}`).join('; ');
  const log = pod.containers[0]?.log;
  return {
    name: `pod ${pod.namespace}/${pod.name}`,
    ok: false,
    detail,
    remedy: log ? `see ${log}` : '',
    optional: true,
  };
}

function peerCheck(peer: PeerStatus): Check {
  const { underlay, overlay, overlay6 } = peer;
  const rtt = (ms: number | undefined) => (ms === undefined ? 'no answer' : `${ms.toFixed(2)} ms`);
  const mtu = underlay?.pathMtu === undefined ? '' : `, path MTU ${underlay.pathMtu} or more`;
  return {
    name: `peer ${peer.node}`,
    ok: peer.problems.length === 0,
    detail:
      peer.problems.join('; ') ||
      `underlay ${rtt(underlay?.rttMs?.median)}${mtu}, overlay ${rtt(overlay?.rttMs?.median)}` +
        (overlay6 ? `, over IPv6 ${rtt(overlay6.rttMs?.median)}` : ''),
    remedy: '',
  };
}
