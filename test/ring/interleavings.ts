// Every interleaving of a few small threads, explored exhaustively. Atomic accesses happen one after the other, in each
// thread's own order; plain accesses may happen in any order that the memory model leaves open:
//
// - what a thread does after an atomic load stays after it; what it did before an atomic store stays before it;
// - plain accesses may otherwise pass each other, and atomic stores that come before them, unless they touch the same cell.
//
// A run is wrong if a plain read finds what it must not, or if nobody can go on before all have ended.

export interface Registers {
  [name: string]: number;
}

type Cell = string | ((registers: Registers) => string);
type Value = number | ((registers: Registers) => number);

export type Instruction =
  | { do: 'load'; cell: Cell; into: string }
  | { do: 'store'; cell: Cell; value: Value; plain?: boolean }
  | { do: 'exchange'; cell: Cell; from: Value; to: Value; into: string }
  /** A plain read that must find this value. */
  | { do: 'expect'; cell: Cell; value: Value }
  /** Sleep, if the cell still holds the value, until notified. */
  | { do: 'wait'; cell: Cell; value: Value }
  | { do: 'notify'; cell: Cell }
  /** A message into a queue; a thread that takes one sleeps until there is one. */
  | { do: 'post'; queue: string }
  | { do: 'take'; queue: string }
  /** Compute, and go to a label, or on. */
  | { do: 'compute'; work: (registers: Registers) => string | undefined };

export interface Program {
  code: Instruction[];
  labels: Record<string, number>;
  registers: Registers;
}

/** What a thread has begun, and what has not happened yet. */
interface Pending {
  kind: 'store' | 'expect';
  cell: string;
  value: number;
  plain: boolean;
}

interface ThreadState {
  at: number;
  registers: Registers;
  pending: Pending[];
  asleep: string;
}

interface State {
  cells: Record<string, number>;
  threads: ThreadState[];
}

export interface Exploration {
  states: number;
  /** The first thing that went wrong, and the steps that led there. */
  wrong: string | undefined;
}

export function explore(programs: readonly Program[], cells: Record<string, number>): Exploration {
  const first: State = {
    cells,
    threads: programs.map(({ registers }) => ({ at: 0, registers, pending: [], asleep: '' })),
  };
  const seen = new Set<string>();
  const stack: { state: State; trail: Trail | undefined }[] = [{ state: first, trail: undefined }];
  while (stack.length > 0) {
    const { state, trail } = stack.pop()!;
    const key = JSON.stringify(state);
    if (seen.has(key)) continue;
    seen.add(key);
    const next: { state: State; trail: Trail }[] = [];
    for (let thread = 0; thread < programs.length; thread++) {
      for (const step of stepsOf(state, thread, programs[thread]!)) {
        const after = { said: `${thread}: ${step.said}`, before: trail };
        if (step.wrong) return { states: seen.size, wrong: `${step.wrong}\n${told(after)}` };
        next.push({ state: step.state, trail: after });
      }
    }
    const hasEnded = state.threads.every(
      ({ at, pending }, i) => at >= programs[i]!.code.length && pending.length === 0,
    );
    if (next.length === 0 && !hasEnded) return { states: seen.size, wrong: `nobody can go on\n${told(trail)}` };
    stack.push(...next);
  }
  return { states: seen.size, wrong: undefined };
}

interface Trail {
  said: string;
  before: Trail | undefined;
}

function told(trail: Trail | undefined): string {
  const lines: string[] = [];
  for (let step = trail; step; step = step.before) lines.unshift(step.said);
  return lines.join('\n');
}

const copyOf = ({ cells, threads }: State): State => ({
  cells: { ...cells },
  threads: threads.map(({ at, registers, pending, asleep }) => ({
    ...{ at, asleep, registers: { ...registers }, pending: [...pending] },
  })),
});

interface Step {
  state: State;
  said: string;
  wrong?: string;
}

function* stepsOf(state: State, thread: number, program: Program): Generator<Step> {
  const { pending, at } = state.threads[thread]!;
  for (let i = 0; i < pending.length; i++) {
    if (pending.slice(0, i).some((earlier) => !mayPass(pending[i]!, earlier))) continue;
    yield happen(state, thread, i);
  }
  if (at < program.code.length) {
    const step = begin(state, thread, program);
    if (step) yield step;
  }
}

/** Whether a later access may happen before an earlier one of the same thread. */
const mayPass = (later: Pending, earlier: Pending): boolean => later.plain && later.cell !== earlier.cell;

function happen(state: State, thread: number, index: number): Step {
  const next = copyOf(state);
  const [access] = next.threads[thread]!.pending.splice(index, 1);
  const { kind, cell, value } = access!;
  if (kind === 'store') {
    next.cells[cell] = value;
    return { state: next, said: `${cell} = ${value}` };
  }
  const found = next.cells[cell]!;
  const wrong = found === value ? {} : { wrong: `${cell} holds ${found} where ${value} must be` };
  return { state: next, said: `reads ${cell}: ${found}`, ...wrong };
}

function begin(state: State, thread: number, { code, labels }: Program): Step | undefined {
  const next = copyOf(state);
  const own = next.threads[thread]!;
  const instruction = code[own.at]!;
  const { registers } = own;
  const cellOf = (cell: Cell): string => (typeof cell === 'string' ? cell : cell(registers));
  const numberOf = (value: Value): number => (typeof value === 'number' ? value : value(registers));
  const done = (said: string): Step => ({ state: next, said });
  // Atomic stores that have been begun happen before any atomic access that follows; a load waits for no plain ones.
  const hasOpenStores = own.pending.some(({ plain }) => !plain);
  own.at++;
  switch (instruction.do) {
    case 'compute': {
      const label = instruction.work(registers);
      if (label !== undefined) own.at = labels[label]!;
      return done('computes');
    }
    case 'store': {
      const { plain = false } = instruction;
      own.pending.push({ kind: 'store', cell: cellOf(instruction.cell), value: numberOf(instruction.value), plain });
      return done('begins a store');
    }
    case 'expect':
      own.pending.push({
        kind: 'expect',
        cell: cellOf(instruction.cell),
        value: numberOf(instruction.value),
        plain: true,
      });
      return done('begins a read');
    case 'load':
      if (hasOpenStores) return undefined;
      registers[instruction.into] = next.cells[cellOf(instruction.cell)]!;
      return done(`loads ${cellOf(instruction.cell)}: ${registers[instruction.into]}`);
    case 'post':
      if (hasOpenStores) return undefined;
      next.cells[instruction.queue]!++;
      return done('posts');
    case 'take':
      if (hasOpenStores || next.cells[instruction.queue] === 0) return undefined;
      next.cells[instruction.queue]!--;
      return done('takes a message');
    case 'exchange': {
      if (own.pending.length > 0) return undefined;
      const cell = cellOf(instruction.cell);
      registers[instruction.into] = next.cells[cell]!;
      if (next.cells[cell] === numberOf(instruction.from)) next.cells[cell] = numberOf(instruction.to);
      return done(`exchanges ${cell}`);
    }
    case 'notify':
      if (hasOpenStores) return undefined;
      for (const other of next.threads) if (other.asleep === cellOf(instruction.cell)) other.asleep = '';
      return done('notifies');
    case 'wait': {
      const cell = cellOf(instruction.cell);
      if (hasOpenStores) return undefined;
      if (own.asleep === cell) return undefined;
      if (own.asleep === '' && registers.waiting === 1) {
        registers.waiting = 0;
        return done('wakes');
      }
      if (next.cells[cell] !== numberOf(instruction.value)) return done('does not sleep');
      own.asleep = cell;
      registers.waiting = 1;
      own.at--;
      return done('sleeps');
    }
  }
}
