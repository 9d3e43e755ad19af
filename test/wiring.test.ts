// How the parts of the runtime come together: each gets what it needs by its constructor. No field waits for an assignment from
// outside, no part writes a field of another, and no constructor gives its object to others.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseSync } from 'oxc-parser';
import { expect, test } from 'vitest';

const src = fileURLToPath(new URL('../src', import.meta.url));

/** Classes that are records: what is known of one thing, written by those who work on it. A class with work of its own is none. */
const records: Readonly<Record<string, string>> = {
  Actor: 'one aggregate in memory; the shard works on it',
  Attempt: 'one call of a handler; the attempts of its subscription run it',
  Block: 'a block of the store as it was read; a reader uses one for all',
  Command: 'a command as the shard has read it',
  HeadRecord: 'a row of the heads of the embedded store',
  Lane: 'the messages of one sender to one target; the deliveries run it',
  Pending: 'a command in flight; dispatch and turns work on it',
};

/** Assignments that look like one to a field of a part: `file: target`, and whose field it is. */
const others: Readonly<Record<string, string>> = {
  'adapters/kafka/kafkajs.ts: this.config.ssl': "the client library's configuration, which it makes there",
  'adapters/kafka/kafkajs.ts: this.config.sasl': "the client library's configuration, which it makes there",
  'adapters/lmdb/store/writer.ts: head.position': 'HeadRecord, a record',
  'adapters/postgres/flush/sink.ts: this.transaction.stale': 'what it knows of its open transaction, a plain object',
  'dispatch/deliveries.ts: this.lanes.get(key).held': 'Lane, a record',
  'dispatch/requeued-letters.ts: lane.held': 'Lane, a record',
  'entity/heads.ts: head.position': 'a plain object of its own table',
  'log/thread.ts: ring.firstPosition': "a setter: the log thread's part of a group",
  'outbox/relay.ts: status.lastError': 'its own status, a plain object',
  'outbox/relay.ts: this.status.lastError': 'its own status, a plain object',
  'outbox/relay.ts: this.status.setAside': 'its own status, a plain object',
  'outbox/relay.ts: this.status.held': 'its own status, a plain object',
  'subscriptions/event-dispatcher.ts: work.tracker': 'Work, a plain object on its way through the subscription',
  'subscriptions/event-dispatcher.ts: work.pending': 'Work, a plain object on its way through the subscription',
};

/** Calls in a constructor that look as if it registered itself: `file: call`, and why it does not. */
const harmless: Readonly<Record<string, string>> = {
  'adapters/lmdb/handlers/tables.ts: thread?.port.on': 'hears the thread that was started for it',
  'adapters/postgres/schema/session.ts: client.on': 'hears the client that was made for it',
};

type Node = { type: string; start: number; end: number } & Record<string, any>;

interface Source {
  readonly file: string;
  readonly text: string;
  readonly program: Node;
}

const sources: readonly Source[] = (readdirSync(src, { recursive: true }) as string[])
  .filter((file) => file.endsWith('.ts'))
  .sort()
  .map((file) => parsed(file, readFileSync(join(src, file), 'utf8')));

function parsed(file: string, text: string): Source {
  const { program, errors } = parseSync(file, text);
  if (errors.length > 0) throw new Error(`${file}: ${errors[0]!.message}`);
  return { file, text, program: program as unknown as Node };
}

/** Each node, outer ones first; `enter` false: not what is inside of it. */
function walk(node: unknown, enter: (node: Node) => unknown): void {
  if (Array.isArray(node)) for (const one of node) walk(one, enter);
  if (Array.isArray(node) || typeof node !== 'object' || node === null) return;
  if (typeof (node as Node).type === 'string' && enter(node as Node) === false) return;
  for (const inner of Object.values(node)) if (typeof inner === 'object') walk(inner, enter);
}

const isFunction = ({ type }: Node): boolean => /^(?:ArrowFunction|Function)/.test(type);
const bare = (node: Node): Node =>
  node.type === 'TSNonNullExpression' || node.type === 'TSAsExpression' || node.type === 'ParenthesizedExpression'
    ? bare(node.expression)
    : node;

function classesOf({ program }: Source): Node[] {
  const found: Node[] = [];
  walk(program, (node) => void (node.type.startsWith('Class') && node.body?.type === 'ClassBody' && found.push(node)));
  return found;
}

const fieldsOf = (one: Node): Node[] => one.body.body.filter(({ type }: Node) => type === 'PropertyDefinition');

/** Fields that others can write, by name: the classes that have them. */
function writable(all: readonly Source[]): Map<string, string[]> {
  const found = new Map<string, string[]>();
  for (const source of all) {
    for (const one of classesOf(source)) {
      for (const { readonly, accessibility, key } of fieldsOf(one)) {
        if (readonly || (accessibility ?? 'public') !== 'public' || key.type === 'PrivateIdentifier') continue;
        found.set(key.name, [...(found.get(key.name) ?? []), one.id?.name ?? '']);
      }
    }
  }
  return found;
}

/** Fields of objects that a file declares beside the class at hand: it may write them. */
function ownFields({ program }: Source, within: Node | undefined): Set<string> {
  const found = new Set<string>();
  walk(program, (node) => {
    if (node === within) return false;
    if (node.type === 'TSPropertySignature' && !node.readonly) found.add(node.key.name);
    if (node.type === 'PropertyDefinition') found.add(node.key.name);
    return undefined;
  });
  return found;
}

/** Fields of another object that are written, except of records, and of what the same file declares. */
function writesToOthers(all: readonly Source[]): string[] {
  const owners = writable(all);
  const found: string[] = [];
  for (const source of all) {
    const { file, text, program } = source;
    const classes = classesOf(source);
    walk(program, (node) => {
      const written: Node | undefined =
        node.type === 'AssignmentExpression' ? node.left : node.type === 'UpdateExpression' ? node.argument : undefined;
      const target = written && bare(written);
      if (target?.type !== 'MemberExpression' || target.computed) return;
      const object = bare(target.object);
      if (object.type === 'ThisExpression') return;
      const within = classes.find(({ start, end }) => start <= node.start && node.end <= end);
      if (ownFields(source, within).has(target.property.name)) return;
      const having = owners.get(target.property.name) ?? [];
      const isOfPart = having.some((name) => !Object.hasOwn(records, name));
      // Not a field of any class: of an object that another class holds.
      const isDeep = having.length === 0 && object.type === 'MemberExpression';
      if (isOfPart || isDeep) found.push(`${file}: ${text.slice(target.start, target.end)}`);
    });
  }
  return found;
}

function unassigned(all: readonly Source[]): string[] {
  return all.flatMap((source) =>
    classesOf(source).flatMap((one) =>
      fieldsOf(one)
        .filter(({ definite }) => definite)
        .map(({ key }) => `${source.file}: ${key.name}`),
    ),
  );
}

const registers = /^(?:add|attach|follow|join|on|once|push|register|set|subscribe|touch|unshift|use)$/;

/** In its turn, not in a function that it makes: `this` as an argument, or something put into what it was given. */
function registrations(all: readonly Source[]): string[] {
  const found: string[] = [];
  for (const source of all) {
    for (const one of classesOf(source)) {
      const made = one.body.body.find(({ kind }: Node) => kind === 'constructor');
      if (made === undefined) continue;
      const given = new Set<string>();
      walk(made.value.params, (node) => void (node.type === 'Identifier' && given.add(node.name)));
      walk(made.value.body, (node) => {
        if (isFunction(node)) return false;
        if (node.type !== 'CallExpression' && node.type !== 'NewExpression') return undefined;
        const callee = bare(node.callee);
        let root = callee;
        while (root.type === 'MemberExpression') root = bare(root.object);
        const putsIn =
          callee.type === 'MemberExpression' && registers.test(callee.property.name) && given.has(root.name);
        if (/^(?:ownGetter|assign)$/.test(callee.property?.name ?? callee.name)) return undefined; // its own fields
        if (!putsIn && !node.arguments.some(({ type }: Node) => type === 'ThisExpression')) return undefined;
        found.push(`${source.file}: ${source.text.slice(callee.start, callee.end)}`);
        return undefined;
      });
    }
  }
  return found;
}

test('no field is left for another to assign (`!:`)', () => {
  expect(unassigned(sources)).toEqual([]);
});

test('no part writes a field of another: it calls a method, or gives it to the constructor', () => {
  expect([...new Set(writesToOthers(sources))].filter((one) => !Object.hasOwn(others, one))).toEqual([]);
});

test('no constructor registers its object: who makes it does that', () => {
  expect([...new Set(registrations(sources))].filter((one) => !Object.hasOwn(harmless, one))).toEqual([]);
});

test('what is excepted is there', () => {
  const names = new Set(sources.flatMap(classesOf).map(({ id }) => id?.name));
  const found = new Set([...writesToOthers(sources), ...registrations(sources)]);
  expect(Object.keys(records).filter((name) => !names.has(name))).toEqual([]);
  expect([...Object.keys(others), ...Object.keys(harmless)].filter((one) => !found.has(one))).toEqual([]);
});

test('the sweep finds what it looks for', () => {
  const part = parsed('part.ts', 'export class Part { late!: string; onEnd = () => {}; private own = 0; }');
  const text = `export class Other {
    constructor(bus, part) { bus.all.add(this); part.list.push(() => this); later(() => bus.on(this)); }
    begin(part) { part.onEnd = () => {}; part.own++; part.held.by.name = 'x'; this.own = 1; }
  }`;
  const all = [part, parsed('other.ts', text)];
  expect(unassigned(all)).toEqual(['part.ts: late']);
  expect(writesToOthers(all)).toEqual(['other.ts: part.onEnd', 'other.ts: part.held.by.name']);
  expect(registrations(all)).toEqual(['other.ts: bus.all.add', 'other.ts: part.list.push']);
});
