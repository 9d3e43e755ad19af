// Refs: one class per aggregate type with a method per command, so that a call costs a method call and not a trap.
import { inspect } from 'node:util';
import { checkFields, given } from '../base/known-fields.ts';
import { printable } from '../base/printable.ts';
import type { AnyAggregate, SendOptions } from '../model/aggregate.ts';
import type { Receipt } from '../model/receipt.ts';
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
  /** The same for the command that reads the state. */
  read(typeIndex: number, commandIndex: number, id: string, options: SendOptions): Promise<Receipt<unknown>>;
}

/** A ref, whatever its commands. */
export interface AnyRef {
  with(options: SendOptions): AnyRef;
}

export type RefClass = new (id: string, options?: SendOptions) => AnyRef;

// Symbols: a text would stand before a command of its name. Own and enumerable, so that deep equality, as assertion
// libraries have it, tells two refs apart.
const aggregateTypeOf = Symbol('aggregateType');
const idOf = Symbol('id');
const optionsOf = Symbol('options');

/**
 * The class of all refs to one aggregate type. A name that is no command is undefined, as on any object: libraries look
 * for marks (`then`, `asymmetricMatch`, `$$typeof` …) on what they are given, and must not find one.
 */
export function refClass(aggregate: AnyAggregate, typeIndex: number, sender: CommandSender): RefClass {
  class CommandRef {
    readonly [aggregateTypeOf]: string = aggregate.name;
    readonly [idOf]: string;
    declare readonly [optionsOf]?: SendOptions;

    constructor(id: string, options?: SendOptions) {
      this[idOf] = id;
      if (options !== undefined) this[optionsOf] = options;
    }

    with(options: SendOptions): CommandRef {
      checkFields('with', options, sendFields);
      return new CommandRef(this[idOf], this[optionsOf] ? { ...this[optionsOf], ...given(options) } : options);
    }

    /** `String(ref)` and `${ref}`. */
    [Symbol.toPrimitive](): string {
      return `${aggregate.name}/${this[idOf]}`;
    }

    /** As `console.log` shows it. */
    [inspect.custom](): string {
      return printable(`Ref ${this}`);
    }
  }
  const methods = CommandRef.prototype as unknown as Record<string, unknown>;
  for (const [commandIndex, name] of Object.keys(aggregate.commands).entries()) {
    methods[name] = function command(this: CommandRef, ...input: unknown[]): Promise<Receipt<unknown>> {
      return sender.send(typeIndex, commandIndex, this[idOf], input, this[optionsOf]);
    };
  }
  return CommandRef as RefClass;
}
