// How the parts of a running runtime print: in one line, without their insides. `console.log(subscription)` would otherwise
// show pages, and what options hold with them.
import { inspect } from 'node:util';

/** Print instances of a class by what `line` says; JSON of one is the same text. */
export function printAs<Instance>(kind: { readonly prototype: Instance }, line: (instance: Instance) => string): void {
  const text = function (this: Instance): string {
    try {
      return line(this);
    } catch (error) {
      return `${(kind as unknown as { name: string }).name}: ${String((error as Error).message)}`; // closed, say
    }
  };
  for (const name of [inspect.custom, 'toJSON']) {
    Object.defineProperty(kind.prototype, name, { value: text, writable: true, configurable: true });
  }
}

/** The line of what has a subscription's status. */
export function statusLine(kind: string, subscription: { readonly name: string; status(): ShortStatus }): string {
  const { state, position, lagEvents, deadLetters } = subscription.status();
  return `${kind} ${subscription.name}: ${state} at ${position}, ${lagEvents} behind, ${deadLetters} dead letters`;
}

interface ShortStatus {
  state: string;
  position: number;
  lagEvents: number;
  deadLetters: number;
}
