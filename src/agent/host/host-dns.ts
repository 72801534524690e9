/**
 * The host's DNS server as the agent runs it: at the cluster's DNS address, from the records of the newest model, with
 * the host's resolvers, which it follows as their file changes.
 */
import { clusterRanges } from '../../control/cluster-settings.ts';
import type { ClusterModel } from '../../control/model.ts';
import { type ClusterRecords, clusterRecords } from '../../dns/cluster-records.ts';
import { parseResolvConf } from '../../dns/resolv-conf.ts';
import { ResolvConfWatch } from '../../dns/resolv-conf-watch.ts';
import { DnsServer, type FastAnswers } from '../../dns/server.ts';
import { type Prefix, parsePrefix } from '../../wire/prefix.ts';
import type { Log } from '../log.ts';
import type { AgentSettings } from '../options.ts';

const PORT = 53;
const RESOLV_CONF = '/etc/resolv.conf';

export class HostDns {
  readonly #settings: AgentSettings;
  readonly #log: Log;
  readonly #watch: ResolvConfWatch;
  readonly #reverse: readonly Prefix[];
  /** Where the server answers, joined by commas. */
  #addresses = '';
  readonly #fast: FastAnswers;
  #records: ClusterRecords | undefined;
  #server: DnsServer | undefined;

  /** `onHostChange`: the host's resolv.conf changed, from which pods inherit. */
  constructor(settings: AgentSettings, log: Log, fast: FastAnswers, onHostChange: () => void) {
    this.#settings = settings;
    this.#fast = fast;
    this.#log = log;
    const { cluster, service } = clusterRanges(settings);
    this.#reverse = [...cluster, ...service].map((block) => block.prefix);
    this.#watch = new ResolvConfWatch(RESOLV_CONF, () => {
      const upstreams = this.#upstreams();
      log.info(`${RESOLV_CONF} changed: names outside the cluster are asked of ${upstreams.join(', ') || 'nobody'}`);
      this.#server?.hostChanged(upstreams);
      onHostChange();
    });
  }

  get server(): DnsServer | undefined {
    return this.#server;
  }

  get hostResolvConf(): string {
    return this.#watch.text;
  }

  /**
   * Answers from this model from now on, at addresses that this host has; starts the server where it does not run yet.
   * @throws DnsServerError
   */
  async serve(model: ClusterModel, addresses: readonly string[]): Promise<void> {
    this.#records = clusterRecords(model, this.#reverse);
    this.#server?.recordsChanged();
    if (this.#server && addresses.join() === this.#addresses) return;
    await this.#server?.close();
    this.#server = undefined;
    this.#addresses = addresses.join();
    const settings = this.#settings;
    const [address = '', ...otherAddresses] = addresses;
    this.#server = await DnsServer.start({
      address,
      otherAddresses,
      port: PORT,
      domain: settings.clusterDomain,
      records: () => this.#records,
      upstreams: this.#upstreams(),
      stubs: settings.dnsStub,
      hostResolvConf: () => this.#watch.text,
      autopath: settings.dnsAutopath,
      queryLogEntries: settings.dnsLog,
      transferTo: prefixes(settings.dnsTransfer),
      podNames: settings.dnsPods,
      ttlSeconds: settings.dnsTtl,
      cacheBytes: settings.dnsCache,
      ...(settings.dnsOffload ? { fast: this.#fast } : {}),
      log: { warn: (fields, message) => this.#log.debug(message, fields) },
      onLoop: (upstream) => {
        const detail = 'it asks this server for what this server asks it';
        this.#log.warn(`DNS: ${upstream} of ${RESOLV_CONF} is not used: ${detail}`);
      },
    });
  }

  async close(): Promise<void> {
    this.#watch.close();
    await this.#server?.close();
  }

  #upstreams(): string[] {
    return parseResolvConf(this.#watch.text).nameservers;
  }
}

/** What was checked before. */
function prefixes(texts: readonly string[]): Prefix[] {
  return texts.flatMap((text) => parsePrefix(text) ?? []);
}
