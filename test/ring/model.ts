// The ring and its bells, step by atomic step, as src/ring does them: a producer that waits for room, and a reader that
// sleeps in Atomics.wait or in its event loop. Cells: head, tail, the slots, one bell each way.
import { type Exploration, explore, type Instruction, type Program, type Registers } from './interleavings.ts';

export interface ModelSizes {
  capacity: number;
  messages: number;
  /** Where the counters begin; they wrap at `wrap`, a multiple of the capacity. */
  start: number;
  wrap: number;
}

/** What is wrong with the code, on purpose. */
export type Defect =
  | 'publishes by a plain store'
  | 'does not look again before it sleeps'
  | 'rings before it publishes'
  | 'frees the slots before it has read them'
  | 'does not look for room again before it sleeps';

export type ReaderKind = 'blocks' | 'serves its event loop';

const awake = 0;
const blocked = 1;
const inLoop = 2;

export function exploreRing(sizes: ModelSizes, reader: ReaderKind, defect?: Defect): Exploration {
  const cells: Record<string, number> = { head: sizes.start, tail: sizes.start, bell: awake, room: awake, mail: 0 };
  for (let i = 0; i < sizes.capacity; i++) cells[`slot${i}`] = -1;
  return explore([producer(sizes, defect), consumer(sizes, reader, defect)], cells);
}

const advance = (counter: string, wrap: number): Instruction => ({
  do: 'compute',
  work(registers) {
    registers[counter] = (registers[counter]! + 1) % wrap;
    registers.count!++;
    return undefined;
  },
});

/** See Notifier.notify. */
function ring(bell: string, name: string): (Instruction | string)[] {
  return [
    { do: 'load', cell: bell, into: 'state' },
    { do: 'compute', work: ({ state }) => (state === awake ? `${name} rung` : undefined) },
    { do: 'exchange', cell: bell, from: ({ state }) => state!, to: awake, into: 'was' },
    { do: 'compute', work: ({ state, was }) => (was !== state ? `${name} rung` : undefined) },
    { do: 'compute', work: ({ state }) => (state === blocked ? `${name} notify` : undefined) },
    { do: 'post', queue: 'mail' },
    { do: 'compute', work: () => `${name} rung` },
    `${name} notify`,
    { do: 'notify', cell: bell },
    `${name} rung`,
  ];
}

function producer({ capacity, messages, start, wrap }: ModelSizes, defect?: Defect): Program {
  const full = ({ head, tail }: Registers): boolean => (head! - tail! + wrap) % wrap >= capacity;
  const plain = defect === 'publishes by a plain store';
  const publish: Instruction[] = [
    advance('head', wrap),
    { do: 'store', cell: 'head', value: ({ head }) => head!, plain },
  ];
  const bell = ring('bell', 'bell');
  const looksAgain: Instruction[] =
    defect === 'does not look for room again before it sleeps'
      ? []
      : [
          { do: 'load', cell: 'tail', into: 'now' },
          { do: 'compute', work: ({ now, tail }) => (now !== tail ? 'rise' : undefined) },
        ];
  return assemble({ head: start, tail: start, count: 0, now: 0, state: 0, was: 0, waiting: 0 }, [
    'next',
    { do: 'compute', work: ({ count }) => (count === messages ? 'end' : undefined) },
    { do: 'compute', work: (r) => (full(r) ? undefined : 'write') },
    'look',
    { do: 'load', cell: 'tail', into: 'tail' },
    { do: 'compute', work: (r) => (full(r) ? undefined : 'write') },
    { do: 'store', cell: 'room', value: blocked },
    ...looksAgain,
    { do: 'wait', cell: 'room', value: blocked },
    'rise',
    { do: 'store', cell: 'room', value: awake },
    { do: 'compute', work: () => 'look' },
    'write',
    { do: 'store', cell: ({ head }) => `slot${head! % capacity}`, value: ({ count }) => count!, plain: true },
    ...(defect === 'rings before it publishes' ? [...bell, ...publish] : [...publish, ...bell]),
    { do: 'compute', work: () => 'next' },
    'end',
  ]);
}

function consumer({ capacity, messages, start, wrap }: ModelSizes, kind: ReaderKind, defect?: Defect): Program {
  const asleep = kind === 'blocks' ? blocked : inLoop;
  const read: (Instruction | string)[] = [
    'read',
    { do: 'compute', work: ({ cursor, limit }) => (cursor === limit ? 'read all' : undefined) },
    { do: 'expect', cell: ({ cursor }) => `slot${cursor! % capacity}`, value: ({ count }) => count! },
    advance('cursor', wrap),
    { do: 'compute', work: () => 'read' },
    'read all',
  ];
  const frees = defect === 'frees the slots before it has read them';
  const release = (counter: string): Instruction => ({ do: 'store', cell: 'tail', value: (r) => r[counter]! });
  const looksAgain: Instruction[] =
    defect === 'does not look again before it sleeps'
      ? []
      : [
          { do: 'load', cell: 'head', into: 'now' },
          { do: 'compute', work: ({ now, cursor }) => (now !== cursor ? 'rise' : undefined) },
        ];
  return assemble({ cursor: start, limit: start, count: 0, now: 0, state: 0, was: 0, waiting: 0 }, [
    'turn',
    { do: 'load', cell: 'head', into: 'limit' },
    ...(frees
      ? [release('limit'), ...ring('room', 'room'), ...read]
      : [...read, release('cursor'), ...ring('room', 'room')]),
    { do: 'compute', work: ({ count }) => (count === messages ? 'end' : undefined) },
    { do: 'store', cell: 'bell', value: asleep },
    ...looksAgain,
    kind === 'blocks' ? { do: 'wait', cell: 'bell', value: blocked } : { do: 'take', queue: 'mail' },
    'rise',
    { do: 'store', cell: 'bell', value: awake },
    { do: 'compute', work: () => 'turn' },
    'end',
  ]);
}

/** Labels stand among the instructions, as text. */
function assemble(registers: Registers, lines: readonly (Instruction | string)[]): Program {
  const program: Program = { code: [], labels: {}, registers };
  for (const line of lines) {
    if (typeof line === 'string') program.labels[line] = program.code.length;
    else program.code.push(line);
  }
  return program;
}
