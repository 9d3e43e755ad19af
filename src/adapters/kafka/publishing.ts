// Which event types are published: by the user's words, which may be names of today or of the past. Flush thread.

import { TrunklineError } from '../../base/errors.ts';
import { own } from '../../base/own.ts';
import type { EventDeclaration } from '../../model/event.ts';
import type { KafkaSettings } from './kafka-options.ts';

type Switches = KafkaSettings['publishing'];

const allOn: Switches = {};

export class Publishing {
  /** From every name that an aggregate type or an event (`{aggregateType}.{eventType}`) has or had to the one of today. */
  private readonly todays: ReadonlyMap<string, string>;
  private readonly events: readonly EventDeclaration[];
  /** By names of today. */
  private switches: Switches = allOn;

  /** `option`: how errors name `switches`. @throws InvalidOptions */
  constructor(events: readonly EventDeclaration[], option: string, switches: Switches) {
    this.events = events;
    this.todays = new Map(events.flatMap(todaysNames));
    this.change(option, switches);
  }

  /** These types are published from now on, or are not; the others as before. @throws InvalidOptions */
  change(option: string, switches: Switches): void {
    const entries = Object.entries(switches);
    for (const [name] of entries) this.check(option, name);
    if (entries.length === 0) return;
    const byTodays = Object.fromEntries(entries.map(([name, isOn]) => [this.todaysName(name), isOn]));
    this.switches = { ...this.switches, ...byTodays };
  }

  isOn(aggregateType: string, type: string): boolean {
    const { switches } = this;
    if (switches === allOn) return true;
    const event = this.todaysName(`${aggregateType}.${type}`);
    return own(switches, event) ?? own(switches, this.todaysName(aggregateType)) ?? true;
  }

  private todaysName(name: string): string {
    return this.todays.get(name) ?? name;
  }

  /** Aggregate types may be entities', which are not declared; of those that are declared, all events are known. */
  private check(option: string, name: string): void {
    if (this.todays.has(name)) return;
    const isOfDeclared = this.events.some(({ aggregateType, aggregateNames = [aggregateType] }) =>
      aggregateNames.some((aggregate) => name.startsWith(`${aggregate}.`)),
    );
    if (!isOfDeclared) return;
    throw new TrunklineError('InvalidOptions', { option, reason: `the aggregate of '${name}' declares no such event` });
  }
}

function todaysNames(event: EventDeclaration): [string, string][] {
  const { aggregateType, aggregateNames = [aggregateType], type, names = [type] } = event;
  const today = aggregateNames[0]!;
  return aggregateNames.flatMap((aggregate) => [
    [aggregate, today],
    ...names.map((name): [string, string] => [`${aggregate}.${name}`, `${today}.${type}`]),
  ]);
}
