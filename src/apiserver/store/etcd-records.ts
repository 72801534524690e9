/** A key as etcd's API has it (mvccpb.KeyValue), and as ours has it. Numbers of 64 bits come as text. */
import type { IKeyValue } from 'etcd3';
import type { StoredValue } from './store.ts';

export function storedValue(kv: IKeyValue): StoredValue {
  return {
    key: kv.key.toString('utf8'),
    value: kv.value,
    createRevision: Number(kv.create_revision),
    modRevision: Number(kv.mod_revision),
    version: Number(kv.version),
    lease: kv.lease === '0' ? '' : kv.lease,
  };
}
