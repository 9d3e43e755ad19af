// The refs that a runtime gives out: for each aggregate type its class, found by definition or by name.
import type { AnyAggregate, SendOptions } from '../aggregate.ts';
import { checkId, invalid } from '../checks.ts';
import { TrunklineError } from '../errors.ts';
import { type AnyRef, type CommandSender, type RefClass, refClass } from './ref.ts';

export class Refs {
  /** The runtime's aggregate types, by name. */
  readonly definitions: ReadonlyMap<string, AnyAggregate>;
  private readonly classes: ReadonlyMap<string, RefClass>;

  constructor(aggregates: readonly AnyAggregate[], sender: CommandSender) {
    this.definitions = new Map(aggregates.map((definition) => [definition.name, definition]));
    this.classes = new Map(aggregates.map((one, index) => [one.name, refClass(one, index, sender)]));
  }

  /** @throws UnknownAggregateType, InvalidId */
  of(type: string, id: string): AnyRef {
    const Ref = this.classes.get(type);
    if (!Ref)
      throw new TrunklineError('UnknownAggregateType', { aggregateType: type, known: [...this.classes.keys()] });
    checkId('aggregate id', id);
    return new Ref(id);
  }

  /** A command by names. @throws UnknownAggregateType, UnknownCommand, InvalidId, InvalidOptions */
  send(type: string, id: string, command: string, input: unknown[], options?: SendOptions): Promise<unknown> {
    const ref = this.of(String(type), id);
    const { commands } = this.definitions.get(type)!;
    // Its own commands, and nothing else that an object answers to.
    if (typeof command !== 'string' || !Object.hasOwn(commands, command)) {
      const known = Object.keys(commands);
      throw new TrunklineError('UnknownCommand', { aggregateType: type, command: String(command), known });
    }
    if (!Array.isArray(input)) invalid('input', input, "must be an array: the command's arguments");
    const sent = options === undefined ? ref : ref.with(options);
    return (sent as unknown as Record<string, (...input: unknown[]) => Promise<unknown>>)[command]!(...input);
  }
}
