/**
 * Keys and values as etcd's API has them (mvccpb.KeyValue), and as ours has them. Numbers of 64 bits come as text. What
 * our contract calls `/registry/…` stands in etcd under a prefix that may be another, as kube-apiserver's --etcd-prefix.
 */
import type { IKeyValue } from 'etcd3';
import type { StoredValue } from './store.ts';

const ROOT = '/registry';

export class EtcdKeys {
  readonly #prefix: string;

  constructor(prefix: string = ROOT) {
    this.#prefix = prefix;
  }

  outer(key: string): Buffer {
    return Buffer.from(replaced(key, ROOT, this.#prefix));
  }

  stored(kv: IKeyValue): StoredValue {
    return {
      key: replaced(kv.key.toString('utf8'), this.#prefix, ROOT),
      value: kv.value,
      createRevision: Number(kv.create_revision),
      modRevision: Number(kv.mod_revision),
      version: Number(kv.version),
      lease: kv.lease === '0' ? '' : kv.lease,
    };
  }
}

function replaced(key: string, from: string, to: string): string {
  return key.startsWith(from) ? to + key.slice(from.length) : key;
}
