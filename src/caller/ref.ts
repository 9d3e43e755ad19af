// Refs: one class per aggregate type with a method per command, so that a call costs a method call and not a trap.
import { type AnyAggregate, reservedCommandNames, type SendOptions } from '../aggregate.ts';
import { TrunklineError } from '../errors.ts';
import { AGGREGATE_ID_BYTES_LIMIT } from '../frame.ts';
import type { Receipt } from '../receipt.ts';

/** Sends a command on behalf of a ref. */
export interface CommandSender {
  send(
    typeIndex: number,
    commandIndex: number,
    id: string,
    input: unknown[],
    options: SendOptions | undefined,
  ): Promise<Receipt<unknown>>;
}

export interface AnyRef {
  with(options: SendOptions): AnyRef;
}

export type RefClass = new (id: string, options?: SendOptions) => AnyRef;

/** The class of all refs to one aggregate type. */
export function refClass(aggregate: AnyAggregate, typeIndex: number, sender: CommandSender): RefClass {
  class CommandRef {
    readonly id: string;
    readonly options: SendOptions | undefined;

    constructor(id: string, options?: SendOptions) {
      this.id = id;
      this.options = options;
    }

    with(options: SendOptions): CommandRef {
      return new CommandRef(this.id, this.options ? { ...this.options, ...options } : options);
    }
  }
  const methods = CommandRef.prototype as unknown as Record<string, unknown>;
  const names = Object.keys(aggregate.commands);
  for (const [commandIndex, name] of names.entries()) {
    methods[name] = function command(this: CommandRef, ...input: unknown[]): Promise<Receipt<unknown>> {
      return sender.send(typeIndex, commandIndex, this.id, input, this.options);
    };
  }
  Object.setPrototypeOf(CommandRef.prototype, unknownCommands(aggregate, names));
  return CommandRef as RefClass;
}

/** Behind the class: any other name is a method that rejects, save the names that JavaScript itself looks for. */
function unknownCommands(aggregate: AnyAggregate, known: string[]): object {
  const error = (command: string): TrunklineError =>
    new TrunklineError('UnknownCommand', { aggregateType: aggregate.name, command, known });
  return new Proxy(Object.create(null) as object, {
    get(_, name) {
      if (typeof name !== 'string' || (reservedCommandNames as readonly string[]).includes(name)) return undefined;
      return () => Promise.reject(error(name));
    },
  });
}

/** Check an id of an aggregate, a key, a name of the user's. */
export function checkId(what: string, id: string, limit: number = AGGREGATE_ID_BYTES_LIMIT): void {
  if (typeof id !== 'string') throw new TrunklineError('InvalidId', { what, length: 0, limit });
  // Up to a third of the limit no count is needed: UTF-8 takes at most three bytes a unit.
  const length = id.length * 3 <= limit ? id.length : Buffer.byteLength(id);
  if (length === 0 || length > limit) throw new TrunklineError('InvalidId', { what, length, limit });
  if (id.includes('\0') || !id.isWellFormed()) {
    throw new TrunklineError('InvalidId', { what: `${what} without U+0000 and lone surrogates`, length, limit });
  }
}
