/**
 * Texts with a form of their own, as Kubernetes objects carry them (k8s.io/apimachinery validation: RFC 1123 and
 * RFC 1035 names, label keys and values, port names; addresses and prefixes): the check, and the sentence that tells
 * the writer what was wanted.
 */
import { parseAddress } from '../wire/address.ts';
import { parsePrefix } from '../wire/prefix.ts';
import { parseQuantity } from './quantity.ts';

export interface TextFormat {
  matches(text: string): boolean;
  /** Follows the field: `metadata.name: must be …`. */
  wanted: string;
}

const LABEL = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/;
const LABEL_1035 = /^[a-z]([-a-z0-9]*[a-z0-9])?$/;
const PORT_NAME = /^(?=.*[a-z])[a-z0-9]([-a-z0-9]*[a-z0-9])?$/;
const QUALIFIED = /^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$/;

const isLabel = (text: string): boolean => text.length <= 63 && LABEL.test(text);
/** Not with the whole name in one expression: nested repetition on hostile text. */
const isName = (text: string): boolean => text.length <= 253 && text.split('.').every((part) => LABEL.test(part));
const isQualified = (text: string): boolean => text.length <= 63 && QUALIFIED.test(text);

export const TEXT_FORMATS: Readonly<Record<string, TextFormat>> = {
  'dns-label': {
    matches: isLabel,
    wanted: 'must be a DNS-1123 label: at most 63 of a-z, 0-9 and "-", not at its ends',
  },
  'dns-1035-label': {
    matches: (text) => text.length <= 63 && LABEL_1035.test(text),
    wanted: 'must be a DNS-1035 label: at most 63 of a-z, 0-9 and "-", beginning with a letter, not ending in "-"',
  },
  'dns-name': {
    matches: isName,
    wanted: 'must be a DNS-1123 name: labels of a-z, 0-9 and "-" joined by ".", at most 253 characters',
  },
  'absolute-name': {
    matches: (text) => isName(text.replace(/\.$/, '')),
    wanted: 'must be a DNS-1123 name: labels of a-z, 0-9 and "-" joined by ".", at most 253 characters',
  },
  'port-name': {
    matches: (text) => text.length <= 15 && !text.includes('--') && PORT_NAME.test(text),
    wanted: 'must be a port name: at most 15 of a-z, 0-9 and "-" with at least one letter',
  },
  'label-key': {
    matches: (text) => {
      const slash = text.indexOf('/');
      return slash < 0 ? isQualified(text) : isName(text.slice(0, slash)) && isQualified(text.slice(slash + 1));
    },
    wanted: 'must be a label key: [prefix/]name, the name at most 63 of letters, digits, "-", "_" and "."',
  },
  'label-value': {
    matches: (text) => text === '' || isQualified(text),
    wanted: 'must be a label value: at most 63 of letters, digits, "-", "_" and ".", not at its ends',
  },
  protocol: {
    // SCTP is no fault of the object: what is not carried of it is said where it would be.
    matches: (text) => text === 'TCP' || text === 'UDP' || text === 'SCTP',
    wanted: 'must be TCP, UDP or SCTP',
  },
  quantity: {
    matches: (text) => parseQuantity(text) !== undefined,
    wanted: 'must be a quantity such as 100m, 0.5 or 1Gi',
  },
  ip: { matches: (text) => parseAddress(text) !== undefined, wanted: 'must be an IP address' },
  cidr: {
    matches: (text) => text.includes('/') && parsePrefix(text) !== undefined,
    wanted: 'must be a CIDR such as 10.244.1.0/24',
  },
};
