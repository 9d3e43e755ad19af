// What the commands for schemas have to say of one place in a program's events.

import { tame } from '../base/tame.ts';

export interface Finding {
  readonly rule: 'changed' | 'gone' | 'not accepted' | 'upcasting' | 'mode' | 'no schema' | 'no samples' | 'open';
  readonly aggregate: string;
  readonly event?: string | undefined;
  readonly version?: number | undefined;
  /** In the payload, as JSONPath: `$.lines[*].price`. */
  readonly path?: string | undefined;
  readonly reason: string;
}

/** One line. Names within a schema have no bound of their own. */
export function findingLine({ aggregate, event, version, path, reason }: Finding): string {
  const at = event === undefined ? aggregate : `${aggregate}.${event}`;
  const where = [at, version && `version ${version}`, path].filter((part) => part !== undefined);
  return `${tame(where.join(', '), 400)}: ${tame(reason, 700)}`;
}
