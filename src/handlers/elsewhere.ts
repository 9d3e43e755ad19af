// What handlers take of a store elsewhere: with its client library, more than all the rest of them. Loaded where there is one.
import { TrunklineError } from '../errors.ts';
import { shown } from '../shown.ts';
import type { ProjectionTable } from './projection.ts';

export interface Elsewhere {
  readonly LogReaders: typeof import('./postgres/log-readers.ts').LogReaders;
  readonly TableProjection: typeof import('./postgres/projection.ts').TableProjection;
  readonly PostgresTables: typeof import('./postgres/tables.ts').PostgresTables;
  readonly PostgresTraces: typeof import('./postgres/traces.ts').PostgresTraces;
}

export async function loadElsewhere(): Promise<Elsewhere> {
  const [readers, projection, tables, traces] = await Promise.all([
    import('./postgres/log-readers.ts'),
    import('./postgres/projection.ts'),
    import('./postgres/tables.ts'),
    import('./postgres/traces.ts'),
  ]);
  return { ...readers, ...projection, ...tables, ...traces };
}

/** @throws InvalidOptions: there is none, and so no table of a user's */
export function elsewhereFor(into: ProjectionTable, elsewhere: Elsewhere | undefined): Elsewhere {
  if (elsewhere) return elsewhere;
  const reason = 'a table needs store: postgres(…)';
  throw new TrunklineError('InvalidOptions', { option: 'projection.into', value: shown(into), reason });
}
