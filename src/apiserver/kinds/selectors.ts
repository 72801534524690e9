/** Label and field selectors as query parameters write them (k8s.io/apimachinery pkg/labels, pkg/fields). */
import type { LabelSelector } from 'kubernetes-types/meta/v1.js';
import { selects } from '../../kube/selector.ts';
import { ApiError } from '../api-error.ts';
import type { ApiObject } from '../api-object.ts';
import { selectable } from './fields.ts';
import type { Resource } from './resource.ts';

export type Matcher = (object: ApiObject) => boolean;

export const EVERYTHING: Matcher = () => true;

/** Of a text without space around it: each run of spaces stands before something, so that no text is slow to read. */
const REQUIREMENT =
  /^(!?)\s*([A-Za-z0-9][-A-Za-z0-9_./]*)(?:\s*(==|=|!=|>|<)\s*([-A-Za-z0-9_.]*)|\s+(in|notin)\s*\(([^()]*)\))?$/;
const FIELD_REQUIREMENT = /^([^\s=!]+)\s*(==|=|!=)(.*)$/;
const LONGEST = 10_000;

/** `app=web,tier in (a,b),!old`. An empty text selects everything. Throws ApiError BadRequest. */
export function labelMatcher(text: string): Matcher {
  if (text.trim() === '') return EVERYTHING;
  const matchers = splitTop(text).map(requirement);
  return (object) => matchers.every((matches) => matches(object));
}

function requirement(text: string): Matcher {
  const [, not, key = '', operator, value = '', set, values = ''] = REQUIREMENT.exec(text.trim()) ?? [];
  const wrong = () => new ApiError('BadRequest', `unable to parse requirement: ${text.trim() || 'it is empty'}`);
  if (key === '' || (not && (operator || set))) throw wrong();
  if (operator === '>' || operator === '<') {
    const limit = Number(value);
    if (!/^\d+$/.test(value)) throw wrong();
    return ({ metadata }) => {
      const label = metadata.labels?.[key];
      if (label === undefined || !/^\d+$/.test(label)) return false;
      return operator === '>' ? Number(label) > limit : Number(label) < limit;
    };
  }
  const listed = set ? values.split(',').map((v) => v.trim()) : [value];
  const negative = not || operator === '!=' || set === 'notin';
  const name = operator || set ? (negative ? 'NotIn' : 'In') : negative ? 'DoesNotExist' : 'Exists';
  const selector: LabelSelector = { matchExpressions: [{ key, operator: name, values: listed }] };
  return ({ metadata }) => selects(selector, metadata.labels ?? {});
}

function tooLong(): ApiError {
  return new ApiError('BadRequest', `a selector has at most ${LONGEST} characters`);
}

/** At commas that stand in no parentheses. */
function splitTop(text: string): string[] {
  if (text.length > LONGEST) throw tooLong();
  const parts: string[] = [];
  let depth = 0;
  let start = 0;
  for (let i = 0; i < text.length; i++) {
    if (text[i] === '(') depth++;
    else if (text[i] === ')') depth--;
    else if (text[i] === ',' && depth === 0) {
      parts.push(text.slice(start, i));
      start = i + 1;
    }
  }
  return [...parts, text.slice(start)];
}

const COMMON_FIELDS = selectable(['metadata', 'name'], ['metadata', 'namespace']);

/** `spec.nodeName=a,status.phase!=Failed`. Throws ApiError BadRequest for a field that this kind cannot be selected by. */
export function fieldMatcher(text: string, resource: Resource): Matcher {
  if (text.trim() === '') return EVERYTHING;
  if (text.length > LONGEST) throw tooLong();
  const fields = { ...COMMON_FIELDS, ...resource.fieldSelectors };
  const matchers = text.split(',').map((part): Matcher => {
    const [, name = '', operator, value = ''] = FIELD_REQUIREMENT.exec(part.trim()) ?? [];
    if (!operator) throw new ApiError('BadRequest', `invalid selector: '${part}'; can't understand it`);
    const textOf = Object.hasOwn(fields, name) ? fields[name] : undefined;
    if (!textOf) throw new ApiError('BadRequest', `field label not supported: ${name}`);
    const wanted = value.trim();
    return (object) => (textOf(object) === wanted) !== (operator === '!=');
  });
  return (object) => matchers.every((matches) => matches(object));
}
