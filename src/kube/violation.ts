/** What is wrong with an object, and where in it: what every check of manifests and of the API answers with. */

/** Where in an object: `['spec', 'ports', 0, 'port']`. */
export type FieldPath = readonly (string | number)[];

export interface Violation {
  path: FieldPath;
  /** A sentence that follows the field's name: `must be between 1 and 65535`. */
  message: string;
}

/** `spec.ports[0].port`, `metadata.labels[app.example/x]`. */
export function formatPath(path: FieldPath): string {
  let text = '';
  for (const part of path) {
    if (typeof part === 'string' && /^[A-Za-z_]\w*$/.test(part)) text += text ? `.${part}` : part;
    else text += `[${part}]`;
  }
  return text;
}
