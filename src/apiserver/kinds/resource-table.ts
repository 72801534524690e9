/** All kinds that the server knows, found by the words of a path or by a kind's name. Custom kinds come and go. */
import type { SchemaObject } from 'ajv';
import { type SchemaCheck, schemaCheck } from '../../kube/validate.ts';
import { APPS } from './apps.ts';
import { SMALLER_GROUPS } from './cluster.ts';
import { CORE } from './core.ts';
import { DEFINITIONS } from './extensions.ts';
import type { Resource } from './resource.ts';

export class ResourceTable {
  readonly #all = new Map<string, Resource>();
  readonly #checks = new WeakMap<SchemaObject, SchemaCheck>();

  constructor(resources: Iterable<Resource> = [...CORE, ...APPS, ...SMALLER_GROUPS, DEFINITIONS]) {
    for (const resource of resources) this.add(resource);
  }

  add(resource: Resource): void {
    this.#all.set(`${resource.group}/${resource.version}/${resource.plural}`, resource);
  }

  remove(resource: Resource): void {
    this.#all.delete(`${resource.group}/${resource.version}/${resource.plural}`);
  }

  [Symbol.iterator](): IterableIterator<Resource> {
    return this.#all.values();
  }

  find(group: string, version: string, plural: string): Resource | undefined {
    return this.#all.get(`${group}/${version}/${plural}`);
  }

  /** One that is always there. Throws where it is not: that is a mistake of ours. */
  known(group: string, version: string, plural: string): Resource {
    const resource = this.find(group, version, plural);
    if (!resource) throw new Error(`no kind ${plural} in ${group || 'core'}/${version}`);
    return resource;
  }

  /** What is wrong with an object of a kind by its schema. Compiled once a kind. */
  check(resource: Resource): SchemaCheck {
    if (resource.custom) return resource.custom.check;
    let check = this.#checks.get(resource.schema);
    if (!check) {
      check = schemaCheck(resource.schema);
      this.#checks.set(resource.schema, check);
    }
    return check;
  }
}
