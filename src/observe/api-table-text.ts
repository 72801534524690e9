/** A server's Table (meta/v1) as kubectl prints it: its own columns, three spaces apart. */
import { stripVTControlCharacters } from 'node:util';

export interface ApiTable {
  columnDefinitions?: readonly { name: string; priority?: number }[] | null;
  rows?: readonly ApiRow[] | null;
}

export interface ApiRow {
  cells: readonly (string | number | boolean | null)[];
  object?: { metadata?: { name?: string; namespace?: string } };
}

export interface TableStyle {
  /** Columns of lower priority too. */
  wide: boolean;
  /** A column for the namespace. */
  namespaces: boolean;
  /** Before each name: `pod/`; '' for one kind alone. */
  prefix: string;
  headers: boolean;
}

/** Prints the rows of one list, and those that a watch adds to it, in the same columns. */
export class ApiTableText {
  readonly #style: TableStyle;
  #columns: readonly { name: string; priority?: number }[] = [];
  #widths: number[] = [];
  #saidHeader = false;

  constructor(style: TableStyle) {
    this.#style = style;
  }

  /** Lines; the header is the first of the first ones. */
  lines({ columnDefinitions, rows }: ApiTable): string[] {
    if (columnDefinitions?.length) this.#columns = columnDefinitions;
    const cells = (rows ?? []).map((row) => this.#cells(row));
    if (cells.length === 0) return [];
    if (!this.#saidHeader && this.#style.headers) cells.unshift(this.#header());
    this.#saidHeader = true;
    for (const line of cells) {
      for (const [i, cell] of line.entries()) this.#widths[i] = Math.max(this.#widths[i] ?? 0, cell.length);
    }
    return cells.map((line) =>
      line
        .map((cell, i) => cell.padEnd(this.#widths[i] ?? 0))
        .join('   ')
        .trimEnd(),
    );
  }

  #header(): string[] {
    const shown = this.#columns.filter((column) => this.#isShown(column)).map(({ name }) => name.toUpperCase());
    return this.#style.namespaces ? ['NAMESPACE', ...shown] : shown;
  }

  #cells({ cells, object }: ApiRow): string[] {
    const shown = this.#columns.flatMap((column, i) => (this.#isShown(column) ? [textOf(cells[i])] : []));
    if (this.#style.prefix !== '') shown[0] = `${this.#style.prefix}${shown[0] ?? ''}`;
    return this.#style.namespaces ? [object?.metadata?.namespace ?? '', ...shown] : shown;
  }

  #isShown({ priority = 0 }: { priority?: number }): boolean {
    return priority === 0 || this.#style.wide;
  }
}

/** What others wrote into objects shall not move our cursor. */
function textOf(cell: ApiRow['cells'][number] | undefined): string {
  if (cell === undefined || cell === null) return '';
  const [line = ''] = stripVTControlCharacters(String(cell)).split('\n');
  return line.replace(/\p{Cc}/gu, '');
}
