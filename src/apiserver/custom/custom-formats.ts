/**
 * The formats that custom kinds' schemas may name (k8s.io/apiextensions-apiserver pkg/apiserver/validation/formats.go),
 * those of them that people use; one that is not here checks nothing.
 */
import type { Format } from 'ajv';
import { parseAddress } from '../../wire/address.ts';
import { parsePrefix } from '../../wire/prefix.ts';

const INT32 = 2 ** 31;
/** Longer texts are none of these. */
const LONGEST = 4096;
const LABEL = /^[A-Za-z0-9](?:[-A-Za-z0-9]{0,61}[A-Za-z0-9])?$/;

const text = (matches: (text: string) => boolean): Format => ({
  type: 'string',
  validate: (value: string) => value.length <= LONGEST && matches(value),
});
const form = (expression: RegExp): Format => text((value) => expression.test(value));
const uuid = form(/^[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}$/i);
const moment = text(
  (value) => /^\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(?:\.\d+)?(?:[Zz]|[+-]\d\d:\d\d)$/.test(value) && isDate(value),
);
const isHostname = (value: string) => value.length <= 253 && value.split('.').every((label) => LABEL.test(label));

function isDate(value: string): boolean {
  return !Number.isNaN(Date.parse(value));
}

function isUri(value: string): boolean {
  return value.startsWith('/') || URL.canParse(value);
}

export const CUSTOM_FORMATS: Record<string, Format> = {
  date: text((value) => /^\d{4}-\d\d-\d\d$/.test(value) && isDate(value)),
  'date-time': moment,
  datetime: moment,
  duration: form(/^(?:\d{1,12}(?:\.\d{1,12})? ?(?:ns|us|µs|ms|s|m|h|d|w) ?){1,10}$/),
  hostname: text(isHostname),
  ipv4: text((value) => !value.includes(':') && parseAddress(value) !== undefined),
  ipv6: text((value) => value.includes(':') && parseAddress(value) !== undefined),
  cidr: text((value) => value.includes('/') && parsePrefix(value) !== undefined),
  mac: form(/^[0-9a-f]{2}(?:([:-])[0-9a-f]{2})(?:\1[0-9a-f]{2}){4}$/i),
  uri: text(isUri),
  email: form(/^[^\s@]{1,64}@[^\s@]{1,255}$/),
  uuid,
  byte: { type: 'string', validate: /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/ },
  hexcolor: form(/^#?(?:[0-9a-f]{3}|[0-9a-f]{6})$/i),
  int32: { type: 'number', validate: (value: number) => value >= -INT32 && value < INT32 },
  int64: { type: 'number', validate: (value: number) => Math.abs(value) <= 2 ** 63 },
};
