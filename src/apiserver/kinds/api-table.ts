/** Objects as rows (meta/v1 Table), which is how kubectl asks for what it prints. */
import type { ApiObject } from '../api-object.ts';
import type { Column, Resource } from './resource.ts';

export interface TableForm {
  /** What each row carries of its object: its metadata, all of it or nothing. */
  includeObject: 'Metadata' | 'Object' | 'None';
}

/** Whether an Accept header prefers tables; kubectl lists several forms, best first. */
export function wantsTable(accept: string | undefined, includeObject: string | null): TableForm | undefined {
  const [first = ''] = (accept ?? '').split(',');
  const parts = first.split(';').map((part) => part.trim());
  if (!parts.includes('as=Table') || !parts.includes('g=meta.k8s.io') || !parts.includes('v=v1')) return undefined;
  return { includeObject: includeObject === 'Object' || includeObject === 'None' ? includeObject : 'Metadata' };
}

/** `head`: with the columns' definitions; a watch says them once. */
export function tableOf(
  resource: Pick<Resource, 'columns'>,
  items: readonly ApiObject[],
  form: TableForm,
  listMeta: Record<string, unknown>,
  head = true,
): Record<string, unknown> {
  return {
    kind: 'Table',
    apiVersion: 'meta.k8s.io/v1',
    metadata: listMeta,
    columnDefinitions: head ? resource.columns.map(definition) : [],
    rows: items.map((object) => ({
      cells: resource.columns.map((c) => cellOf(c, object)),
      ...rowObject(object, form),
    })),
  };
}

function definition({ name, type, description, wide }: Column): Record<string, unknown> {
  const format = name === 'Name' ? 'name' : '';
  return { name, type, format, description, priority: wide ? 1 : 0 };
}

/** An object that somebody wrote in an odd form costs its own cell, not the list. */
function cellOf(column: Column, object: ApiObject): string | number | boolean {
  try {
    return column.cell(object);
  } catch {
    return '<unknown>';
  }
}

function rowObject(object: ApiObject, { includeObject }: TableForm): Record<string, unknown> {
  if (includeObject === 'None') return {};
  if (includeObject === 'Object') return { object };
  const { metadata } = object;
  return { object: { kind: 'PartialObjectMetadata', apiVersion: 'meta.k8s.io/v1', metadata } };
}
