// The refs that a runtime gives out: for each aggregate type its class, found by definition or by name.

import { checkId, invalid } from '../base/checks.ts';
import { TrunklineError } from '../base/errors.ts';
import { checkFields, fieldsOf } from '../base/known-fields.ts';
import type { AggregateLike, AnyAggregate, SendOptions } from '../model/aggregate.ts';
import { AggregatesByName } from '../model/aggregate-names.ts';
import { checkEventNames } from '../model/catalogue.ts';
import type { Receipt } from '../model/receipt.ts';
import { type AnyRef, type CommandSender, type RefClass, refClass } from './ref.ts';

/** How the state of an aggregate is read. */
export interface StateOptions {
  /** Milliseconds; then `DeadlineExceeded`. */
  deadlineMs?: number | undefined;
  signal?: AbortSignal | undefined;
}

const stateFields = fieldsOf<StateOptions>({ deadlineMs: true, signal: true });

export class Refs {
  /** The runtime's aggregate types, by name, also by those that they had. */
  readonly definitions: ReadonlyMap<string, AnyAggregate>;
  private readonly classes: ReadonlyMap<string, RefClass>;
  private readonly sender: CommandSender;

  constructor(aggregates: readonly AnyAggregate[], sender: CommandSender) {
    this.sender = sender;
    this.definitions = new AggregatesByName(aggregates);
    this.classes = new Map(aggregates.map((one, index) => [one.name, refClass(one, index, sender)]));
  }

  /** @throws UnknownAggregateType */
  definition(type: string): AnyAggregate {
    const definition = this.definitions.get(type);
    if (definition !== undefined) return definition;
    throw new TrunklineError('UnknownAggregateType', { aggregateType: type, known: [...this.classes.keys()] });
  }

  /** @throws UnknownAggregateType, InvalidId */
  of(type: string, id: string): AnyRef {
    const Ref = this.classes.get(this.definition(type).name)!;
    checkId('aggregate id', id);
    return new Ref(id);
  }

  /** Names of events in a query of a user's. @throws UnknownEventType */
  checkEventNames(types: readonly string[], aggregates: readonly AggregateLike[] | undefined): void {
    checkEventNames(types, aggregates, this.definitions);
  }

  /**
   * What an aggregate's actor says of its state: the receipt of the command that each type has behind its own.
   * @throws UnknownAggregateType, InvalidId, InvalidOptions (as rejections)
   */
  async readState(type: string, id: string, options: StateOptions): Promise<Receipt<unknown>> {
    checkFields('state', options, stateFields);
    this.of(type, id);
    const definition = this.definitions.get(type)!;
    const typeIndex = [...this.definitions.values()].indexOf(definition);
    const behindItsOwn = Object.keys(definition.commands).length;
    return this.sender.read(typeIndex, behindItsOwn, id, { ...options, ack: 'written' });
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
