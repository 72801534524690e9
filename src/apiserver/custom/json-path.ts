/**
 * The JSONPath that printer columns and selectable fields use (k8s.io/client-go util/jsonpath), without its templates:
 * `.spec.replicas`, `.status.conditions[?(@.type=="Ready")].status`, `.spec.hosts[0]`, `.metadata.labels['a/b']`.
 */
import { fieldAt } from '../api-object.ts';

type Step =
  | { kind: 'field'; name: string }
  | { kind: 'index'; index: number }
  | { kind: 'all' }
  | { kind: 'filter'; path: readonly string[]; equal: boolean; value: unknown };

const LONGEST = 500;
/** Values that a path may come to: more nobody prints. */
const MOST_VALUES = 1000;
const FIELD = /\.((?:[\w$/-]|\\.)+)/y;
const QUOTED = /\[(?:'([^']*)'|"([^"]*)")\]/y;
const INDEX = /\[(-?\d{1,6})\]/y;
const ALL = /\[\*\]|\.\*/y;
const FILTER = /\[\?\(\s*@((?:\.[\w-]+)+)\s*(==|!=)\s*("[^"]*"|'[^']*'|-?\d+(?:\.\d+)?|true|false)\s*\)\]/y;

export class JsonPath {
  readonly #steps: readonly Step[];

  private constructor(steps: readonly Step[]) {
    this.#steps = steps;
  }

  /** Undefined where the text is no path that is known here. */
  static parse(text: unknown): JsonPath | undefined {
    if (typeof text !== 'string' || text.length > LONGEST) return undefined;
    const steps: Step[] = [];
    for (let at = 0; at < text.length; ) {
      const step = stepAt(text, at);
      if (!step) return undefined;
      steps.push(step[0]);
      at = step[1];
    }
    return steps.length > 0 ? new JsonPath(steps) : undefined;
  }

  /** The names, where it has fields alone. */
  get fields(): string[] | undefined {
    return this.#steps.every((step) => step.kind === 'field') ? this.#steps.map(({ name }) => name) : undefined;
  }

  /** All that it comes to, in order. */
  valuesIn(object: unknown): unknown[] {
    let values: unknown[] = [object];
    for (const step of this.#steps) values = values.flatMap((value) => follow(step, value)).slice(0, MOST_VALUES);
    return values;
  }
}

function stepAt(text: string, at: number): [Step, number] | undefined {
  const match = (form: RegExp) => {
    form.lastIndex = at;
    return form.exec(text);
  };
  const all = match(ALL);
  if (all) return [{ kind: 'all' }, at + all[0].length];
  const field = match(FIELD);
  if (field) return [{ kind: 'field', name: (field[1] as string).replace(/\\(.)/g, '$1') }, at + field[0].length];
  const quoted = match(QUOTED);
  if (quoted) return [{ kind: 'field', name: quoted[1] ?? (quoted[2] as string) }, at + quoted[0].length];
  const index = match(INDEX);
  if (index) return [{ kind: 'index', index: Number(index[1]) }, at + index[0].length];
  const filter = match(FILTER);
  if (!filter) return undefined;
  const [whole, path = '', operator, literal = ''] = filter;
  const value = /^['"]/.test(literal) ? literal.slice(1, -1) : JSON.parse(literal);
  return [{ kind: 'filter', path: path.split('.').slice(1), equal: operator === '==', value }, at + whole.length];
}

function follow(step: Step, value: unknown): unknown[] {
  switch (step.kind) {
    case 'field': {
      const found = fieldAt(value, [step.name]);
      return found === undefined || Array.isArray(value) ? [] : [found];
    }
    case 'index': {
      const found = Array.isArray(value) ? value.at(step.index) : undefined;
      return found === undefined ? [] : [found];
    }
    case 'all':
      if (Array.isArray(value)) return value;
      return typeof value === 'object' && value !== null ? Object.values(value) : [];
    case 'filter':
      if (!Array.isArray(value)) return [];
      return value.filter((item) => (fieldAt(item, step.path) === step.value) === step.equal);
  }
}
