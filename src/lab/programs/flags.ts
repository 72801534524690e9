/** Flags as programs written in Go take them: `--port=80`, `--port 80`, `-text=hello`, `--tcp`, `--http=false`. */

/** Those who started the program said something that it does not understand. */
export class FlagError extends Error {}

type Defaults = Readonly<Record<string, string | number | boolean>>;
type Values<D extends Defaults> = {
  [K in keyof D]: D[K] extends number ? number : D[K] extends boolean ? boolean : string;
};

/** The type of each default is the type of its flag. Throws FlagError. */
export function parseFlags<const D extends Defaults>(
  args: readonly string[],
  defaults: D,
): { flags: Values<D>; words: string[] } {
  const flags: Record<string, string | number | boolean> = { ...defaults };
  const words: string[] = [];
  for (let i = 0; i < args.length; i++) {
    const arg = args[i] as string;
    const [, name, written] = /^--?([a-zA-Z][-\w]*)(?:=(.*))?$/s.exec(arg) ?? [];
    if (name === undefined) {
      words.push(arg);
      continue;
    }
    if (!Object.hasOwn(defaults, name)) throw new FlagError(`unknown flag: --${name}`);
    const known = defaults[name];
    const value = written ?? (typeof known === 'boolean' ? 'true' : args[++i]);
    if (value === undefined) throw new FlagError(`flag needs an argument: --${name}`);
    flags[name] =
      typeof known === 'number' ? number(name, value) : typeof known === 'boolean' ? value !== 'false' : value;
  }
  return { flags: flags as Values<D>, words };
}

function number(name: string, text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isInteger(value)) throw new FlagError(`--${name}: ${text} is no number`);
  return value;
}

/** `500ms`, `3s`, `1m30s` in milliseconds. Throws FlagError. */
export function parseDuration(text: string): number {
  const units: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };
  let ms = 0;
  const rest = text.replace(/(\d+(?:\.\d+)?)(ms|s|m|h)/g, (_, value: string, unit: string) => {
    ms += Number(value) * (units[unit] as number);
    return '';
  });
  if (rest !== '' || text === '') throw new FlagError(`${text} is no duration: write 500ms, 3s, 1m30s`);
  return ms;
}
