/**
 * `weft agent`: one process per host, from its options to its end. Checks the host, starts the dataplane's worker and
 * the HostAgent, serves the status interface, and on SIGTERM or SIGINT leaves the host as it was found.
 */
import { rmdirSync, rmSync } from 'node:fs';
import type { Server } from 'node:http';
import { join } from 'node:path';
import { Dataplane } from '../dataplane/handle.ts';
import { loadNativeAddon } from '../io/native-addon.ts';
import { FolderSource } from '../kube/folder-source.ts';
import { describeError } from './agent-error.ts';
import { buildServices, buildStatus } from './agent-status.ts';
import { agentChecks } from './doctor.ts';
import { chooseOffload } from './host/offload.ts';
import { HostAgent } from './host-agent.ts';
import { hostChecks, requireChecks } from './host-checks.ts';
import { type Log, openLog } from './log.ts';
import type { ApiLink } from './node/api-link.ts';
import { type AgentOptions, type AgentSettings, agentSettings } from './options.ts';
import { serveStatus } from './status-server.ts';
import { weftVersion, writeWeftCommand } from './weft-command.ts';

/** EX_SOFTWARE of sysexits.h: a fault in the program itself. */
const FAULT = 70;
const WORKER_END_MS = 500;

/** Runs until a signal ends it; rejects when it cannot start, having changed nothing on the host. */
export async function runAgent(options: AgentOptions): Promise<void> {
  const settings = agentSettings(options);
  const log = await openLog(settings.logFormat, settings.logLevel, { node: settings.node });
  let dataplane: Dataplane | undefined;
  const leave = (code: number) => leaveAtOnce(dataplane, code);
  catchProgrammingErrors(log, leave);
  const checks = hostChecks();
  requireChecks(checks);
  const native = loadNativeAddon();
  const stop = stopRequest(log, leave);
  const link = settings.kubeconfig === undefined ? undefined : await openLink(settings, settings.kubeconfig);
  // The workers start on threads of their own, the objects are read, while this one tries what the kernel offers.
  const starting = Dataplane.start({
    workers: settings.workers,
    busyPollMicros: settings.busyPoll,
    ...(settings.maxFlows === undefined ? {} : { maxFlows: settings.maxFlows }),
    onEnd: (error) => {
      // Pods and devices stay: whoever supervises us starts the next agent, which takes them up.
      log.error(`a worker of the dataplane ended: ${describeError(error)}`);
      process.exit(1);
    },
  });
  const source = link?.source ?? new FolderSource([...settings.manifests]);
  const reading = source.start();
  let agent: HostAgent;
  let server: Server;
  try {
    const offload = chooseOffload(settings.offload, native.probe());
    log.info(
      `weft ${weftVersion()}, node ${settings.node}, ${settings.backend}, offload ${offload.mode}: ${offload.detail}`,
    );
    [dataplane] = await Promise.all([starting, reading]);
    agent = new HostAgent({ settings, log, native, dataplane, source, offload, ...(link ? { link } : {}) });
    server = await serveStatus(settings.socketPath, {
      notReady: () => agent.notReady,
      status: () => buildStatus(agent),
      services: (names) => buildServices(agent, names),
      doctor: () => agentChecks(buildStatus(agent), () => agent.peers.probe(undefined)),
      probe: (host) => agent.peers.probe(host),
      explainName: async (pod, name) => agent.dns.server?.explain(pod, name),
      dnsLog: () => agent.dns.server?.queryLog(),
    });
    writeWeftCommand(settings.stateDir);
  } catch (error) {
    await Promise.allSettled([reading.then(() => source.close()), starting.then((started) => started.stop())]);
    throw error;
  }
  await agent.start();

  const signal = await stop;
  const began = Date.now();
  log.info(`${signal}: ${settings.keepPods ? 'stops, its pods stay' : 'stops and removes what it made'}`);
  server.close();
  await agent.stop(settings.keepPods);
  if (!settings.keepPods) removeFiles(settings);
  log.info(`stopped in ${Date.now() - began} ms`);
  // Whatever still holds the event loop (a probe's socket) has nothing left to do.
  process.exit(0);
}

/** Loaded where there is an API alone: its libraries take memory that the others need not give. */
async function openLink(settings: AgentSettings, kubeconfig: string): Promise<ApiLink> {
  const { ApiLink } = await import('./node/api-link.ts');
  return new ApiLink(settings, kubeconfig);
}

/** Resolves with the first signal; the second one ends the process at once. */
function stopRequest(log: Log, leave: (code: number) => void): Promise<string> {
  return new Promise((resolve) => {
    let asked = false;
    for (const signal of ['SIGTERM', 'SIGINT'] as const) {
      process.on(signal, () => {
        if (asked) {
          log.error(`${signal} again: ends at once, leaving what is left`);
          return leave(1);
        }
        asked = true;
        resolve(signal);
      });
    }
  });
}

function catchProgrammingErrors(log: Log, leave: (code: number) => void): void {
  process.on('uncaughtException', (error) => {
    log.error(`a fault in weft itself, please report it: ${error.stack ?? String(error)}`);
    leave(FAULT);
  });
}

/** Waking the worker is what lets process.exit() end it: it would wait for one that waits for packets. */
function leaveAtOnce(dataplane: Dataplane | undefined, code: number): void {
  const overdue = setTimeout(() => process.kill(process.pid, 'SIGKILL'), WORKER_END_MS);
  void Promise.resolve(dataplane?.stop()).finally(() => {
    clearTimeout(overdue);
    process.exit(code);
  });
}

function removeFiles(settings: AgentSettings): void {
  rmSync(settings.socketPath, { force: true });
  for (const folder of ['bin', 'pods']) rmSync(join(settings.stateDir, folder), { recursive: true, force: true });
  try {
    rmdirSync(settings.stateDir);
  } catch {
    // Somebody else keeps files there.
  }
}
