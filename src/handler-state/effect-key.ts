// The key of a delivery's effect: the same for every delivery of an event (or of a batch) to a handler, another for every other event.
//
// Who saves an event in a transaction chooses its id, so the id alone does not name it: the key has a hash of the id, the aggregate and
// the version beside it. Not of the time: the server may have it in microseconds, and then the log and the store differ in it.
import { hash } from 'node:crypto';
import type { StoredEvent } from '../model/event.ts';
import { Evolution } from '../model/evolution.ts';

const idPattern = '[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}';
const keyOfToday = new RegExp(`(${idPattern}(?:-${idPattern})?)\\.[\\w-]{22}(?=/)`);

/** Of a batch its first and its last event name it. The name of the aggregate type is the one that stays when it is renamed. */
export function effectKeyOf(
  handler: string,
  subject: StoredEvent | readonly StoredEvent[],
  evolution: Evolution = Evolution.none,
): string {
  const events = Array.isArray(subject) ? (subject as readonly StoredEvent[]) : [subject as StoredEvent];
  const ends = events.length > 1 ? [events[0]!, events.at(-1)!] : events;
  const names = ends.map(({ id, aggregateType, aggregateId, version }) => {
    return [id, evolution.storedType(aggregateType), aggregateId, version];
  });
  return `${ends.map(({ id }) => id).join('-')}.${hash('sha256', JSON.stringify(names), 'base64url').slice(0, 22)}/${handler}`;
}

/** What 0.1 gave the same event: ids and handler alone. undefined: it is no key of an effect, nor holds one. */
export function earlierEffectKey(key: string): string | undefined {
  const earlier = key.replace(keyOfToday, '$1');
  return earlier === key ? undefined : earlier;
}
