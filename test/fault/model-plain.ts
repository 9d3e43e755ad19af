// What a runtime should do, as plain data in memory: aggregates, their events, and outcomes by idempotency key. Knows nothing
// of threads, logs or faults: after any of them, all of it is still so.
import type { CounterState } from '../runtime/aggregates.ts';

export type Operation =
  | { do: 'command'; id: string; command: string; input: unknown[]; key?: string }
  /** Simple commands, none waiting for another. */
  | { do: 'together'; operations: Operation[] }
  /** An entity, saved by its expected version; `undefined`: whatever it is at. */
  | { do: 'save'; id: string; prices: string[]; expectedVersion?: number }
  | { do: 'restart' }
  /** Its shard ends. */
  | { do: 'crash'; id: string }
  | { do: 'look'; ids: readonly string[] };

export type Answer =
  | { value: unknown; version?: number }
  | { error: string; details?: unknown }
  | { all: readonly Answer[] };

interface Aggregate {
  state: CounterState;
  events: unknown[];
}

const fresh = (): Aggregate => ({ state: { total: 0, labels: [] }, events: [] });

export class PlainModel {
  private readonly aggregates = new Map<string, Aggregate>();
  private readonly outcomes = new Map<string, { command: string; answer: Answer }>();

  apply(operation: Operation): Answer {
    switch (operation.do) {
      case 'command':
        return this.once(operation);
      case 'together':
        return { all: operation.operations.map((one) => this.apply(one)) };
      case 'save': {
        const stock = this.at(`stock/${operation.id}`);
        const { expectedVersion = stock.events.length } = operation;
        if (expectedVersion !== stock.events.length) return { error: 'ConcurrencyConflict' };
        for (const price of operation.prices) stock.events.push([stock.events.length + 1, { price }]);
        return { value: null };
      }
      case 'crash':
        return { error: 'OutcomeUnknown' };
      case 'restart':
        return { value: null };
      case 'look':
        return { value: Object.fromEntries(operation.ids.map((at) => [at, this.look(at)])) };
    }
  }

  private look(at: string): unknown {
    const { state, events } = this.at(at);
    if (!at.startsWith('counter/')) return { state: null, events };
    return { state: { state, version: events.length }, events };
  }

  private once({ id, key, command, input }: Extract<Operation, { do: 'command' }>): Answer {
    const known = key === undefined ? undefined : this.outcomes.get(`${id} ${key}`);
    if (known) return known.command === command ? known.answer : { error: 'IdempotencyKeyReused' };
    const answer = this.execute(id, command, input);
    // A value or a rejection is an outcome; any other error may be cured, and is tried again.
    if (key !== undefined && (!('error' in answer) || 'details' in answer))
      this.outcomes.set(`${id} ${key}`, { command, answer });
    return answer;
  }

  private execute(id: string, command: string, input: readonly unknown[]): Answer {
    const aggregate = this.at(`counter/${id}`);
    const { state, events } = aggregate;
    const add = (amount: number): void => {
      state.total += amount;
      events.push([events.length + 1, { amount }]);
    };
    const done = (value: unknown): Answer => ({ value, version: events.length });
    const [first, second] = input as [never, number];
    switch (command) {
      case 'add':
        add(first);
        return done(state.total);
      case 'addMany':
        for (let i = 0; i < (first as number); i++) add(1);
        return done(events.length);
      case 'label':
        if (first === '') return { error: 'SchemaViolation' };
        state.labels.push(first);
        events.push([events.length + 1, { label: first }]);
        return done(null);
      case 'addThenReject':
        return { error: 'too-much', details: { amount: first, total: state.total + first } };
      case 'addThenThrow':
        return { error: 'CommandFailed' };
      case 'total':
        return { value: state.total };
      case 'addSlowly': {
        const before = state.total;
        add(first);
        return done({ before, after: state.total });
      }
      case 'askOther': {
        const { value } = this.execute(first, 'add', [second]) as { value: number };
        add(value);
        return done(state.total);
      }
      case 'sendOther':
        add(1);
        for (let i = 0; i < 2; i++) this.execute(first, 'add', [second]);
        return { value: null, version: first === id ? events.length - 2 : events.length };
      default:
        throw new Error(`the model does not know ${command}`);
    }
  }

  private at(at: string): Aggregate {
    const known = this.aggregates.get(at) ?? fresh();
    this.aggregates.set(at, known);
    return known;
  }
}
