// Values that hold secrets (passwords, keys, connection strings) behind an object that shows nothing of them: not to
// console.log, JSON, String(), a spread or a loop over its fields. `reveal` is the only way to them.
//
// A private field does not survive structured cloning, which would leave an empty object on the other side: a program that sends
// one to a thread of ours sends what is revealed. To a reader it is plain data there, and stays inside that thread.
import { isMadeBy } from './checks.ts';
import { printAs } from './one-line.ts';

const text = '[hidden]';

/** A value that does not show. */
export class Hidden<Value> {
  readonly #value: Value;

  constructor(value: Value) {
    this.#value = value;
  }

  reveal(): Value {
    return this.#value;
  }

  toString(): string {
    return text;
  }
}

printAs(Hidden, () => text);

/** What is hidden, if it is; else the value itself. */
export function revealed<Value>(value: Value | Hidden<Value>): Value {
  return isMadeBy(Hidden<Value>, value) ? value.reveal() : value;
}
