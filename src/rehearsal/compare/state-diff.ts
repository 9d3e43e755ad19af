// Where two states differ. A state is whatever reducers return: beside JSON also Map, Set, Date, instances of classes, cycles,
// `undefined` and NaN. Two releases have classes of their own, so instances are compared by the name of their class, their
// fields, and what their toJSON() says. A property that is `undefined` counts as one that is not there, as readers of a state
// see it; the order of properties counts for nothing.
//
// A list of what is left to compare in place of calls within calls: a state may be nested deeper than the stack is.

import { inspect, types } from 'node:util';
import { own } from '../../base/own.ts';
import { tame } from '../../base/tame.ts';
import { type Coverage, type Place, pathOf } from './paths.ts';
import { arePlainlySame } from './plainly-same.ts';

/** A place where two states differ. */
export interface StateChange {
  /** `totals.net`, `items[3].price`; '' for the state as a whole. */
  readonly path: string;
  /** As text, cut off where it is long; undefined: there is none. */
  readonly old: string | undefined;
  readonly new: string | undefined;
}

export interface StateDiff {
  /** The first ones. */
  readonly changes: readonly StateChange[];
  /** How many there are, ignored ones not counted. */
  readonly count: number;
  readonly ignored: number;
}

interface Task {
  readonly old: unknown;
  readonly now: unknown;
  readonly place: Place | undefined;
  /** What its owner's toJSON() returned: JSON asks that for no toJSON() of its own. */
  readonly isJson?: true;
}

interface PlacedTask extends Task {
  readonly coverage: Coverage;
  /** How many calls of toJSON() it has come by. */
  readonly calls: number;
}

/** Pairs that are compared already, by what is ignored within them. */
type Seen = Map<Coverage, Map<object, Set<object>>>;

const noDifference: StateDiff = { changes: [], count: 0, ignored: 0 };
const missing = Symbol('missing');
const textLimit = 200;
/** One toJSON() within the other's result. Each may make what is new, without end; what is nested deeper counts as different. */
const callsMost = 1_000;

/** `most`: changes that are kept as text. */
export function diffOf(old: unknown, now: unknown, ignored: Coverage, most: number): StateDiff {
  if (arePlainlySame(old, now)) return noDifference;
  const changes: StateChange[] = [];
  const seen: Seen = new Map();
  const tasks: PlacedTask[] = [{ old, now, place: undefined, coverage: ignored, calls: 0 }];
  let [count, ignoredCount] = [0, 0];
  for (let task = tasks.pop(); task !== undefined; task = tasks.pop()) {
    const { place, coverage } = task;
    const within = partsOf(task, seen);
    if (within === 'same') continue;
    if (within !== 'differs') {
      for (let i = within.length - 1; i >= 0; i--) tasks.push(placed(within[i]!, task));
      continue;
    }
    if (coverage.isIgnored) {
      ignoredCount++;
      coverage.use();
    } else if (++count <= most) {
      changes.push({ path: pathOf(place), old: textOf(task.old), new: textOf(task.now) });
    }
  }
  return { changes, count, ignored: ignoredCount };
}

function placed(part: Task, owner: PlacedTask): PlacedTask {
  const { place, isJson } = part;
  const coverage = place === owner.place ? owner.coverage : owner.coverage.at(place!.name);
  return { ...part, coverage, calls: owner.calls + (isJson ? 1 : 0) };
}

/** What has to be the same for two values to be so. */
function partsOf(task: PlacedTask, seen: Seen): 'same' | 'differs' | Task[] {
  const { old, now } = task;
  if (Object.is(old, now)) return 'same';
  if (typeof old === 'function' && typeof now === 'function') return String(old) === String(now) ? 'same' : 'differs';
  if (typeof old !== 'object' || typeof now !== 'object' || old === null || now === null) return 'differs';
  if (wasSeen(old, now, task.coverage, seen)) return 'same'; // a cycle, or a part that is used twice: it is compared already
  if (task.calls > callsMost) return 'differs';
  try {
    return objects(old, now, task);
  } catch {
    return 'differs'; // a getter that throws, a revoked proxy
  }
}

function wasSeen(old: object, now: object, coverage: Coverage, seen: Seen): boolean {
  const pairs = seen.get(coverage) ?? new Map<object, Set<object>>();
  seen.set(coverage, pairs);
  const others = pairs.get(old);
  if (others?.has(now)) return true;
  if (others === undefined) pairs.set(old, new Set([now]));
  else others.add(now);
  return false;
}

function objects(old: object, now: object, task: Task): 'same' | 'differs' | Task[] {
  const { place } = task;
  if (kindOf(old) !== kindOf(now)) return 'differs';
  if (Array.isArray(old)) return lists(old, now as unknown[], place);
  if (types.isMap(old)) return maps(old, now as Map<unknown, unknown>, place);
  if (types.isSet(old)) return sets(old, now as Set<unknown>, place);
  if (types.isDate(old)) return Object.is(old.getTime(), (now as Date).getTime()) ? fields(old, now, task) : 'differs';
  if (types.isRegExp(old)) return String(old) === String(now) ? 'same' : 'differs';
  if (types.isBoxedPrimitive(old)) return Object.is(old.valueOf(), now.valueOf()) ? 'same' : 'differs';
  if (types.isAnyArrayBuffer(old)) return bytesOf(old).equals(bytesOf(now as ArrayBuffer)) ? 'same' : 'differs';
  if (ArrayBuffer.isView(old)) return viewBytes(old).equals(viewBytes(now as DataView)) ? 'same' : 'differs';
  if (types.isNativeError(old) && old.message !== (now as Error).message) return 'differs';
  return fields(old, now, task);
}

/** `Object` for whatever is plain, from whichever realm. */
function kindOf(value: object): string {
  if (Array.isArray(value)) return 'Array';
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype === null || Object.getPrototypeOf(prototype) === null) return 'Object';
  return String((prototype as { constructor?: { name?: unknown } }).constructor?.name);
}

const bytesOf = (buffer: ArrayBufferLike): Buffer => Buffer.from(buffer);
const viewBytes = ({ buffer, byteOffset, byteLength }: ArrayBufferView): Buffer =>
  Buffer.from(buffer, byteOffset, byteLength);

function lists(old: readonly unknown[], now: readonly unknown[], place: Place | undefined): Task[] {
  return Array.from({ length: Math.max(old.length, now.length) }, (_, i) => ({
    old: i < old.length ? old[i] : missing,
    now: i < now.length ? now[i] : missing,
    place: { within: place, name: String(i), isIndex: true },
  }));
}

function fields(old: object, now: object, { place, isJson }: Task): Task[] {
  const [olds, news] = [old as Record<string, unknown>, now as Record<string, unknown>];
  const tasks: Task[] = [];
  const add = (name: string, a: unknown, b: unknown): void => {
    const within = { within: place, name, isIndex: false };
    tasks.push({ old: a === undefined ? missing : a, now: b === undefined ? missing : b, place: within });
  };
  for (const [name, value] of Object.entries(olds)) add(name, value, own(news, name));
  for (const [name, value] of Object.entries(news)) if (!Object.hasOwn(olds, name)) add(name, undefined, value);
  // What keeps its value in private fields, as a decimal may.
  if (isJson !== true && typeof olds.toJSON === 'function' && typeof news.toJSON === 'function') {
    tasks.push({ old: olds.toJSON(), now: news.toJSON(), place, isJson: true });
  }
  return tasks;
}

const isObject = (value: unknown): value is object =>
  (typeof value === 'object' && value !== null) || typeof value === 'function';

/** Keys that are objects are paired in their order: they are no others' keys. */
function maps(old: Map<unknown, unknown>, now: Map<unknown, unknown>, place: Place | undefined): Task[] {
  const at = (key: unknown): Place => ({ within: place, name: String(key), isIndex: typeof key === 'number' });
  const tasks: Task[] = [];
  for (const [key, value] of old) {
    if (!isObject(key)) tasks.push({ old: value, now: now.has(key) ? now.get(key) : missing, place: at(key) });
  }
  for (const [key, value] of now)
    if (!isObject(key) && !old.has(key)) tasks.push({ old: missing, now: value, place: at(key) });
  const byObject = (map: Map<unknown, unknown>): unknown[] => [...map].filter(([key]) => isObject(key));
  return [...tasks, ...lists(byObject(old), byObject(now), place)];
}

function sets(old: Set<unknown>, now: Set<unknown>, place: Place | undefined): Task[] {
  const at = (member: unknown): Place => ({ within: place, name: String(member), isIndex: typeof member === 'number' });
  const tasks: Task[] = [];
  for (const one of old) if (!isObject(one) && !now.has(one)) tasks.push({ old: one, now: missing, place: at(one) });
  for (const one of now) if (!isObject(one) && !old.has(one)) tasks.push({ old: missing, now: one, place: at(one) });
  return [...tasks, ...lists([...old].filter(isObject), [...now].filter(isObject), place)];
}

/** Runs nothing of the value's own. */
function textOf(value: unknown): string | undefined {
  if (value === missing) return undefined;
  try {
    const text = inspect(value, {
      depth: 3,
      maxArrayLength: 10,
      maxStringLength: textLimit,
      breakLength: Number.POSITIVE_INFINITY,
      customInspect: false,
      sorted: true,
    });
    return text.length <= textLimit ? text : `${tame(text, textLimit)}…`;
  } catch {
    return 'what cannot be shown';
  }
}
