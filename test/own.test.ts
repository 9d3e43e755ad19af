// No look-up by a name in a plain object finds what Object.prototype has: every computed access in src by something that
// holds a name is in the list below, with its reason; the rest goes through `own`, a Map, or behind Object.hasOwn.
import { globSync, readFileSync } from 'node:fs';
import { stripTypeScriptTypes } from 'node:module';
import { fileURLToPath } from 'node:url';
import { parseAst } from 'vite';
import { describe, expect, test } from 'vitest';
import { own } from '../src/base/own.ts';
import { defineAggregate, event } from '../src/index.ts';
import { foldTo } from '../src/store/fold.ts';
import { objectMembers } from './hostile.ts';

const root = fileURLToPath(new URL('..', import.meta.url));

/** What variables are called that hold a name. */
const names =
  /(name|type|key|code|kind|command|field|format|level|topic|handler|id|option|part|action|flush|method|property|setting|table|aggregate|event)$/i;

/** Where such a look-up may stand, and why it finds nothing inherited. */
const reasons: Readonly<Record<string, string>> = {
  'src/base/own.ts record[name]': 'behind Object.hasOwn',
  'src/shard/actor-type.ts definition.commands[name]': 'name is one of its own keys',
  'src/runtime/offline-handlers.ts deadLetters.messages[request.action]':
    'two actions, told apart when the request is read',
  'src/model/aggregate.ts spec[part]': 'three fixed names',
  'src/model/aggregate.ts spec.events[type]': 'type is one of its own keys',
  'src/rehearsal/run.ts this.counts[field]': 'field is one of its own keys',
  'src/rehearsal/payload-for-two.ts copy[key]': 'behind Object.hasOwn',
  'src/rehearsal/compare/plainly-same.ts (object)[name]': 'behind Object.hasOwn',
  'src/model/definition-checks.ts commands[command]': 'command is one of its own keys',
  'src/base/errors.ts messages[code]': 'a code of the closed list',
  'src/wire/metadata.ts plain[key]': 'key is one of its own keys',
  'src/base/logger.ts ofStderr()[level]': 'four fixed names',
  'src/base/logger.ts logger[level]': 'four fixed names',
  'src/log/policy.ts flushPresets[flush]': 'behind Object.hasOwn',
  'src/wire/payload.ts (value)[key]': 'key is one of its own keys',
  'src/wire/payload.ts copy[key]': 'behind isOwn',
  'src/wire/payload.ts value[key]': 'behind isOwn',
  'src/testing/command-run.ts definition.commands[command]': 'name is one of its own keys',
  'src/adapters/kafka/settings.ts sasl[field]': 'two fixed names',
  'src/adapters/kafka/packer.ts headers[name]': 'name is one of its own keys',
  'src/adapters/kafka/registry.ts promises[level]': 'level is one of its own keys',
  'src/adapters/kafka/schemas.ts envelopes[format]': 'a format of four, checked',
  'src/adapters/postgres/session/postgres.ts options[name]': 'eight fixed names',
  'src/adapters/postgres/session/postgres.ts connection[name]': 'written, by eight fixed names',
  'src/base/known-fields.ts options[name]': 'the fixed names of an options type',
  'src/shared/control-block.ts Watermark[name]': 'names of levels, by their type',
  'src/runtime/offline-handlers.ts deadLetters[request.kind]': 'two kinds, told apart when the request is read',
  'src/adapters/postgres/handlers/row-table.ts row[name]': 'written, by the names of columns',
  'src/flush/flush-thread.ts sinks[name]': 'written, by the names of sinks',
  'src/dispatch/progress.ts wordOf[one.level]': 'a level, checked',
  'src/dispatch/ref.ts methods[name]': 'written; name is one of the own keys',
  'src/dispatch/refs.ts (sent)[command]': 'behind Object.hasOwn',
  'src/schemas/subset.ts ofKind[kind]': 'one of seven kinds',
  'src/rehearsal/run.ts counts[field]': 'four fixed names',
  'src/shard/execution.ts definition.events[type]': 'behind Object.hasOwn',
};

interface Node {
  type: string;
  start: number;
  end: number;
  [key: string]: unknown;
}

/** Every look-up of a file by something that holds a name. */
function lookUps(text: string): string[] {
  const found: string[] = [];
  const code = stripTypeScriptTypes(text);
  const isName = (property: Node): boolean => {
    if (property.type === 'MemberExpression' && property.computed === true) return false; // seen by itself
    if (property.type === 'Identifier') return names.test(property.name as string);
    if (property.type === 'MemberExpression') return isName(property.property as Node);
    return ['TemplateLiteral', 'LogicalExpression', 'AwaitExpression'].includes(property.type);
  };
  const visit = (node: unknown): void => {
    if (typeof node !== 'object' || node === null) return;
    if (Array.isArray(node)) {
      for (const one of node) visit(one);
      return;
    }
    const { type, computed, property, start, end } = node as Node;
    if (type === 'MemberExpression' && computed === true && isName(property as Node)) {
      found.push(
        code
          .slice(start, end)
          .replaceAll(/\s+(?=[\])[.])/g, '')
          .replaceAll(/\s+/g, ' '),
      );
    }
    for (const value of Object.values(node)) visit(value);
  };
  visit(parseAst(code));
  return found;
}

describe('look-ups by a name', () => {
  test('the sweep sees them', () => {
    expect(lookUps('const a: any = definition.evolve[event.type];')).toEqual(['definition.evolve[event.type]']);
    expect(
      lookUps(
        'record[name]; list[i]; list[at.next]; list[0]; list[n - 1]; names[type.index]; list[typeIndex]; record[a.type ?? b];',
      ),
    ).toEqual(['record[name]', 'record[a.type ?? b]']);
  });

  test('in src each has its reason', () => {
    const files = globSync('src/**/*.ts', { cwd: root });
    const found = files.flatMap((file) =>
      lookUps(readFileSync(`${root}/${file}`, 'utf8')).map((one) => `${file} ${one}`),
    );
    expect([...new Set(found)].filter((one) => !Object.hasOwn(reasons, one)).sort()).toEqual([]);
  }, 120_000);
});

test('own finds what an object has, and nothing else', () => {
  for (const name of objectMembers) {
    expect(own({}, name)).toBeUndefined();
    expect(own(JSON.parse(`{${JSON.stringify(name)}:1}`) as Record<string, number>, name)).toBe(1);
  }
});

test.each(objectMembers)('an event of type %s that a definition has lost is no member of Object', (type) => {
  const aggregate = { name: 'odd', state: () => ({}), evolve: {}, events: {} } as never;
  const lost = { type, version: 1, position: 1, data: {} } as never;
  expect(() => foldTo(aggregate, [lost], { version: 1 })).toThrow(
    expect.objectContaining({ code: 'UnknownEventType' }),
  );
});

test.each(objectMembers.filter((name) => name !== '__proto__'))('a definition must name %s itself', (name) => {
  const spec = { module: import.meta.url, state: () => ({}), commands: {} };
  const declared = { events: { [name]: event<{ n: number }>() }, evolve: {} };
  const evolved = { events: {}, evolve: { [name]: (state: object) => state } };
  for (const parts of [declared, evolved]) {
    expect(() => defineAggregate('odd', { ...spec, ...parts } as never)).toThrow(
      expect.objectContaining({ code: 'InvalidDefinition' }),
    );
  }
});
