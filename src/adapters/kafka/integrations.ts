// What the mappings of a user's module make of a command's events. Flush thread.

import { TrunklineError } from '../../base/errors.ts';
import { own } from '../../base/own.ts';
import type { StoredEvent } from '../../model/event.ts';
import { Evolution } from '../../model/evolution.ts';
import { eventsToday } from '../../model/evolved-event.ts';
import { type Integration, type IntegrationEvent, type Mapped, refusePromise } from './integration.ts';

interface Reading extends Integration {
  /** How its aggregate's stored events are read. */
  readonly evolution: Evolution;
}

/** The default export of the user's module. @throws InvalidOptions */
export function checkIntegrations(made: unknown): readonly Integration[] {
  const isMapping = (one: any): boolean => typeof one?.aggregateType === 'string' && typeof one.mapping === 'object';
  if (Array.isArray(made) && made.every(isMapping)) return made as Integration[];
  const reason = 'its default export must be a list of integration(…)';
  throw new TrunklineError('InvalidOptions', { option: 'stream.integration', reason });
}

/** The mappings of a user's module, together. */
export class Integrations {
  private readonly byType = new Map<string, Reading[]>();

  constructor(integrations: readonly Integration[]) {
    for (const one of integrations) {
      const list = this.byType.get(one.aggregateType) ?? [];
      this.byType.set(one.aggregateType, [...list, { ...one, evolution: new Evolution([one.aggregate]) }]);
    }
  }

  /** The types of aggregates whose events some mapping wants. */
  get aggregateTypes(): Iterable<string> {
    return this.byType.keys();
  }

  /** Whether events of the aggregate have to be looked at. */
  concerns(aggregateType: string): boolean {
    return this.byType.has(aggregateType);
  }

  /** What the events that one command raised on one aggregate become; each with the event that caused it. */
  map(aggregateType: string, events: readonly StoredEvent[]): { event: IntegrationEvent; cause: StoredEvent }[] {
    const made: { event: IntegrationEvent; cause: StoredEvent }[] = [];
    const take = (mapped: Mapped, cause: StoredEvent): void => {
      if (mapped === undefined) return;
      const all: readonly IntegrationEvent[] = Array.isArray(mapped) ? mapped : [mapped];
      for (const one of [mapped, ...all]) refusePromise('a mapping', one);
      for (const event of all) made.push({ event, cause });
    };
    for (const { mapping, whole, evolution } of this.byType.get(aggregateType) ?? []) {
      const read = eventsToday(events, evolution);
      for (const event of read) {
        const map = own(mapping, event.type);
        if (map !== undefined) take(map(event), event);
      }
      if (whole && read.length > 0) take(whole(Object.freeze(read)), read.at(-1)!);
    }
    return made;
  }
}
