/**
 * Pictures for the documents as SVG: shapes and text, coloured by class. One file suits light and dark pages, and stands
 * on a card of its own, for a page's colours are not always those that the reader's system asks for.
 */

export type Theme = 'both' | 'light' | 'dark';
export type Anchor = 'start' | 'middle' | 'end';

const COLOURS = {
  light: {
    ...{ card: '#ffffff', panel: '#f6f8fa', box: '#ffffff', line: '#c4cbd3', grid: '#e6e9ed', ink: '#1f2328' },
    ...{ soft: '#57606a', away: '#fbe9d0', failed: '#cf222e', accent: '#0a66c2' },
    ...{ series0: '#3574c6', series1: '#e08b1a', series2: '#2c9c88', series3: '#8a63bd' },
  },
  dark: {
    ...{ card: '#0d1117', panel: '#161b22', box: '#21262d', line: '#48515c', grid: '#242a32', ink: '#e6edf3' },
    ...{ soft: '#9aa5b1', away: '#3a2c16', failed: '#ff6b64', accent: '#6cb2ff' },
    ...{ series0: '#5c9ae6', series1: '#f0a742', series2: '#4fc3ae', series3: '#b390e0' },
  },
};
export type Colour = keyof typeof COLOURS.light;

const FONT = "system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif";
/** Width of a letter in parts of its size, on the wide side: fonts differ from one reader to the next. */
const LETTER = 0.6;

export interface TextBox {
  text: string;
  left: number;
  right: number;
  top: number;
  bottom: number;
}

export class Picture {
  readonly width: number;
  readonly height: number;
  /** Where text is, so that a test can see whether any lies upon another. */
  readonly texts: TextBox[] = [];
  readonly #title: string;
  readonly #shapes: string[] = [];

  constructor(width: number, height: number, title: string) {
    this.width = width;
    this.height = height;
    this.#title = title;
    this.rect(0.5, 0.5, width - 1, height - 1, 'card', { stroke: 'line', radius: 8 });
  }

  rect(
    x: number,
    y: number,
    width: number,
    height: number,
    fill: Colour,
    { stroke, radius = 0 }: { stroke?: Colour; radius?: number } = {},
  ): void {
    const edge = stroke === undefined ? '' : ` s-${stroke}`;
    const round = radius === 0 ? '' : ` rx="${radius}"`;
    this.#shapes.push(
      `<rect class="f-${fill}${edge}" x="${short(x)}" y="${short(y)}" width="${short(width)}" height="${short(height)}"${round}/>`,
    );
  }

  /** Many rectangles of one colour, each as x, y, width and height: one shape, for a file of a tenth the size. */
  bars(bars: readonly (readonly [x: number, y: number, width: number, height: number])[], fill: Colour): void {
    if (bars.length === 0) return;
    const path = bars.map(([x, y, width, height]) => {
      const across = short(width);
      return `M${short(x)} ${short(y)}h${across}v${short(height)}h-${across}z`;
    });
    this.#shapes.push(`<path class="f-${fill}" d="${path.join('')}"/>`);
  }

  /** Through points, x and y by turns. */
  line(points: readonly number[], stroke: Colour, width = 1, dashed = false): void {
    const dash = dashed ? ' stroke-dasharray="3 4"' : '';
    this.#shapes.push(
      `<polyline class="none s-${stroke}" points="${points.map(short).join(' ')}" stroke-width="${width}"${dash}/>`,
    );
  }

  dot(x: number, y: number, radius: number, fill: Colour): void {
    this.#shapes.push(`<circle class="f-${fill}" cx="${short(x)}" cy="${short(y)}" r="${radius}"/>`);
  }

  /** `y` is the baseline's. */
  text(
    x: number,
    y: number,
    text: string,
    { size = 13, fill = 'ink', anchor = 'start', bold = false }: TextStyle = {},
  ): void {
    const width = textWidth(text, size);
    const left = anchor === 'start' ? x : anchor === 'end' ? x - width : x - width / 2;
    this.texts.push({ text, left, right: left + width, top: y - size * 0.8, bottom: y + size * 0.25 });
    const weight = bold ? ' font-weight="600"' : '';
    const at = anchor === 'start' ? '' : ` text-anchor="${anchor}"`;
    this.#shapes.push(
      `<text class="f-${fill}" x="${short(x)}" y="${short(y)}" font-size="${size}"${at}${weight}>${escaped(text)}</text>`,
    );
  }

  toString(theme: Theme = 'both'): string {
    const style = [
      rules(COLOURS[theme === 'dark' ? 'dark' : 'light']),
      ...(theme === 'both' ? [`@media (prefers-color-scheme: dark) {\n${rules(COLOURS.dark)}\n}`] : []),
    ];
    return [
      `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${this.width} ${this.height}" width="${this.width}" ` +
        `height="${this.height}" role="img" font-family="${FONT}">`,
      `<title>${escaped(this.#title)}</title>`,
      `<style>\n.none { fill: none; }\n${style.join('\n')}\n</style>`,
      ...this.#shapes,
      '</svg>\n',
    ].join('\n');
  }
}

export interface TextStyle {
  size?: number;
  fill?: Colour;
  anchor?: Anchor;
  bold?: boolean;
}

export function textWidth(text: string, size: number): number {
  return text.length * size * LETTER;
}

function rules(colours: Readonly<Record<string, string>>): string {
  return Object.entries(colours)
    .map(([name, value]) => `.f-${name} { fill: ${value}; } .s-${name} { stroke: ${value}; }`)
    .join('\n');
}

function short(value: number): string {
  return `${Math.round(value * 10) / 10}`;
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
