// Refs: one class per aggregate type with a method per command, so that a call costs a method call and not a trap.
import { inspect } from 'node:util';
import { type AnyAggregate, reservedCommandNames, type SendOptions } from '../aggregate.ts';
import { TrunklineError } from '../errors.ts';
import { checkFields } from '../known-fields.ts';
import type { Receipt } from '../receipt.ts';
import { sendFields } from './send-options.ts';

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

/** A ref, whatever its commands. */
export interface AnyRef {
  with(options: SendOptions): AnyRef;
}

export type RefClass = new (id: string, options?: SendOptions) => AnyRef;

/** The class of all refs to one aggregate type. */
export function refClass(aggregate: AnyAggregate, typeIndex: number, sender: CommandSender): RefClass {
  // Private fields: a public one would stand before a command of its name.
  class CommandRef {
    readonly #id: string;
    readonly #options: SendOptions | undefined;

    constructor(id: string, options?: SendOptions) {
      this.#id = id;
      this.#options = options;
    }

    with(options: SendOptions): CommandRef {
      checkFields('with', options, sendFields);
      return new CommandRef(this.#id, this.#options ? { ...this.#options, ...options } : options);
    }

    /** `String(ref)` and `${ref}`, which would otherwise find an unknown command. */
    [Symbol.toPrimitive](): string {
      return `${aggregate.name}/${this.#id}`;
    }

    /** As `console.log` shows it. */
    [inspect.custom](): string {
      return `Ref ${this}`;
    }

    static method(commandIndex: number): unknown {
      return function command(this: CommandRef, ...input: unknown[]): Promise<Receipt<unknown>> {
        return sender.send(typeIndex, commandIndex, this.#id, input, this.#options);
      };
    }
  }
  const methods = CommandRef.prototype as unknown as Record<string, unknown>;
  const names = Object.keys(aggregate.commands);
  for (const [commandIndex, name] of names.entries()) methods[name] = CommandRef.method(commandIndex);
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
