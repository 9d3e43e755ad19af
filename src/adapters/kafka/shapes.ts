// Events in the versions that were chosen for their topics, by the functions of their definitions. Flush thread: the modules of
// the aggregates are imported only where an event that has several versions is chosen.

import { TrunklineError } from '../../base/errors.ts';
import { userJson } from '../../base/json.ts';
import { importUserModule } from '../../base/user-module.ts';
import { exportedAggregate } from '../../model/aggregate-names.ts';
import type { EventDeclaration } from '../../model/event.ts';
import { Evolution } from '../../model/evolution.ts';
import { placeDetails } from '../../model/unreadable-event.ts';
import { toJson } from '../../wire/payload.ts';
import type { OutEvent } from './format.ts';
import type { Form, Published } from './versions.ts';

export class Shapes {
  private readonly evolution: Evolution;

  constructor(evolution: Evolution) {
    this.evolution = evolution;
  }

  /** `events`: as they are declared. @throws ModuleMismatch, and what a module throws */
  static async load(events: readonly EventDeclaration[], published: Published): Promise<Shapes> {
    const modules = new Map<string, string>();
    for (const { aggregateType, aggregateNames = [aggregateType], type, versions = [], module } of events) {
      const isChosen = published.formsOf(aggregateType, type) !== undefined;
      if (isChosen && versions.length > 1 && module !== undefined) modules.set(aggregateNames[0]!, module);
    }
    const definitions = [];
    for (const [name, module] of modules) {
      const definition = exportedAggregate(await importUserModule(module), name);
      if (definition === undefined) {
        throw new TrunklineError('ModuleMismatch', { module, aggregateType: name, reason: 'does not export it' });
      }
      definitions.push(definition);
    }
    return new Shapes(new Evolution(definitions));
  }

  /**
   * An event in one of its forms. The first one has the event's id, each other one an id of its own, always the same.
   * @throws UnsupportedEventVersion, UpcastFailed
   */
  of(event: OutEvent, { type, schemaVersion }: Form, index: number): OutEvent {
    const id = index === 0 ? event.id : `${event.id}/${type}/${schemaVersion}`;
    return { ...event, id, type, schemaVersion, data: this.dataOf(event, schemaVersion) };
  }

  private dataOf(event: OutEvent, wanted: number): Buffer {
    const { aggregateType, type, schemaVersion, data } = event;
    if (schemaVersion === wanted) return data; // the log's own bytes
    const evolution = this.evolution.of(aggregateType);
    const known = evolution?.names.get(type);
    if (evolution === undefined || known?.kind !== 'event') {
      const where = { ...placeDetails(event), eventType: type, schemaVersion };
      throw new TrunklineError('UnsupportedEventVersion', { ...where, known: [wanted, wanted] });
    }
    const payload = userJson(data.toString());
    const made = evolution.convert(type, known.spec, [schemaVersion, wanted], payload, event);
    return Buffer.from(toJson(made, 'data'));
  }
}
