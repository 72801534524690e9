/** Amounts of a resource as Kubernetes writes them (k8s.io/apimachinery resource.Quantity): `100m`, `0.5`, `1Gi`. */

const FORM = /^([+-]?(?:\d+\.?\d*|\.\d+))(?:([numkMGTPE]|[KMGTPE]i)|[eE]([+-]?\d{1,3}))?$/;
const FACTORS: Readonly<Record<string, number>> = {
  n: 1e-9,
  u: 1e-6,
  m: 1e-3,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  P: 1e15,
  E: 1e18,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
  Pi: 2 ** 50,
  Ei: 2 ** 60,
};

/** In whole units: cores, bytes. Undefined where the text is none. */
export function parseQuantity(text: string | number): number | undefined {
  if (typeof text === 'number') return text;
  const [, digits, suffix, exponent] = FORM.exec(text) ?? [];
  if (digits === undefined) return undefined;
  const factor = suffix === undefined ? 10 ** Number(exponent ?? 0) : (FACTORS[suffix] ?? 1);
  return Number(digits) * factor;
}
