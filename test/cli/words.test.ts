// Every command of the command line, every option and argument: words that are empty or no such thing are refused with exit
// code 2 before anything is done. Run in this process: what is refused needs nothing else.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { type Command, CommanderError, type Option } from 'commander';
import { describe, expect, test } from 'vitest';
import { exitCodeOf, makeProgram } from '../../src/cli/program.ts';
import { scratchFolder } from '../runtime/scratch.ts';

/** Commands that do something, with the words that lead to them. */
function* leaves(command: Command, path: string[] = []): Generator<{ path: string[]; command: Command }> {
  if (command.commands.length === 0) yield { path, command };
  for (const next of command.commands) yield* leaves(next, [...path, next.name()]);
}

/** What each option takes, and what it does not; an option that is not here fails the sweep. */
const words: Record<string, { good: string; bad: string[] }> = {
  '--postgres': { good: 'postgres://nobody@127.0.0.1:1/none', bad: ['nonsense', 'http://127.0.0.1/'] },
  '--schema': { good: 'trunkline', bad: [] },
  '--data-dir': { good: '/nonexistent/data', bad: [] },
  '--log': { good: 'no-such-log', bad: [] },
  '--aggregates': { good: './nonexistent.ts', bad: [] },
  '--file': { good: './none.lock.json', bad: [] },
  '--force': { good: 'customer.Moved', bad: [] },
  '--mode': { good: 'BACKWARD', bad: ['backward', 'SIDEWARD', 'ALL'] },
  '--config': { good: './nonexistent.ts', bad: [] },
  '--before': { good: '2026-01', bad: ['2026', '2026-13', '2026-1', '01-2026', 'soon'] },
  '--to': { good: '5', bad: [] },
  '--archive': { good: './archive', bad: [] },
  '--handler': { good: 'billing', bad: [] },
  '--aggregate': { good: 'call', bad: [] },
  '--id': { good: 'x', bad: [] },
  '--type': { good: 'CallRouted', bad: [] },
  '--sender': { good: 'call', bad: [] },
  '--sender-id': { good: 'x', bad: [] },
  '--command': { good: 'route', bad: [] },
  '--reason': { good: 'failed', bad: ['faild', 'FAILED'] },
  '--older-than': { good: '5', bad: ['-1', 'x', '1h', 'NaN', 'Infinity', '0x10', '1e400'] },
  '--limit': { good: '5', bad: ['0', '-1', '1.5', 'x', '1e3', '99999999999999999999'] },
  '--line-bytes': { good: '4096', bad: ['0', '-1', '1.5', 'x', '1e3'] },
  '--ratio': { good: '100', bad: ['0', '-1', '1.5', 'x'] },
  '--data': { good: './data.json', bad: [] },
  '--since': {
    good: '2026-01-01',
    bad: ['yesterday', '1', '2026-02-30', '2026-01-01T12:00', '2026-01-01T25:00:00Z', 'x 1'],
  },
  '--until': { good: '2026-01-02T00:00:00Z', bad: ['tomorrow', '2026', '2026-1-1', '2025-02-29'] },
  '--from': { good: '1', bad: ['0', '-5', 'x', '1.5', '0x1'] },
  '--format': { good: 'asyncapi', bad: ['openapi', 'JSON-SCHEMA'] },
  '--out': { good: './none/events.json', bad: [] },
  '--service': { good: 'shop', bad: [] },
  '--release': { good: '1.2.0', bad: [] },
  '--topic-prefix': { good: 'shop', bad: [] },
  '--topic-template': { good: '{prefix}.{eventType}', bad: [] },
  '--handlers': { good: './nonexistent.ts', bad: [] },
  '--record-format': { good: 'snake-case', bad: ['avro', 'Trunkline'] },
  '--old': { good: './none.ts', bad: [] },
  '--new': { good: './none.ts', bad: [] },
  '--ignore': { good: 'order:totals', bad: [] },
  '--sample': { good: '0.1', bad: ['0', '2', '1.5', 'x', '-0.1', '5%', '1e-3'] },
  '--rate': { good: '100', bad: ['0', 'x', '-1'] },
};
/** The same name, another thing. */
const elsewhere: Record<string, string[]> = {
  'replay --to': ['0', 'x', '-1'],
  'rehearse --from': ['order', '/o-1', 'order/'],
};

async function run(argv: string[]): Promise<{ exitCode: number; text: string }> {
  const program = makeProgram();
  let text = '';
  const silent = (command: Command): void => {
    command.configureOutput({ writeErr: (part) => (text += part), writeOut: (part) => (text += part) });
    for (const next of command.commands) silent(next);
  };
  silent(program);
  try {
    await program.parseAsync(['node', 'trunkline', ...argv]);
  } catch (error) {
    return { exitCode: exitCodeOf(error), text: error instanceof CommanderError ? text : (error as Error).message };
  }
  return { exitCode: 0, text };
}

const takesWord = (option: Option): boolean => option.required || option.optional;
const isFirst = (argument: { required: boolean }): boolean => argument.required;
const commands = [...leaves(makeProgram())];

/** A command line that is understood, with one option's word exchanged or added. */
function lineOf({ path, command }: (typeof commands)[number], changed?: [name: string, word: string]): string[] {
  const line = [...path, ...command.registeredArguments.filter(isFirst).map(() => 'billing/1')];
  for (const option of command.options) {
    const name = option.long!;
    if (changed?.[0] === name) line.push(`${name}=${changed[1]}`);
    else if (option.mandatory) line.push(name, words[name]!.good);
  }
  return line;
}

test('there are commands to go round', () => {
  expect(commands.map(({ path }) => path.join(' '))).toEqual(
    expect.arrayContaining(['migrate', 'status', 'partitions drop', 'topics apply', 'dead-letters discard', 'replay']),
  );
});

describe.each(commands.map((one) => [one.path.join(' '), one] as const))('%s', (name, one) => {
  test('every option that takes a word refuses an empty one, and one that is no such thing', async () => {
    for (const option of one.command.options.filter(takesWord)) {
      const known = words[option.long!];
      expect(known, `${option.long}: what does it take?`).toBeDefined();
      const bad = elsewhere[`${name} ${option.long}`] ?? known!.bad;
      for (const word of ['', ' ', '\t', ...bad]) {
        const { exitCode, text } = await run(lineOf(one, [option.long!, word]));
        expect([option.long, word, exitCode, text]).toEqual([
          option.long,
          word,
          2,
          expect.stringMatching(/is invalid|must be/),
        ]);
        expect(text).not.toContain('nonsense'); // it may have been a password
      }
    }
  });

  test('empty arguments, unknown options and words too many are refused', async () => {
    for (const line of [
      ...(one.command.registeredArguments.length > 0 ? [[...one.path, '']] : []),
      [...lineOf(one), '--nonsense'],
      [...lineOf(one), 'one', 'word', 'more'],
    ]) {
      expect([line, (await run(line)).exitCode]).toEqual([line, 2]);
    }
  });

  test('it can print JSON', () => {
    expect(one.command.options.map(({ long }) => long)).toContain('--json');
  });
});

test.each(['requeue', 'discard'])('%s needs a letter, a condition, or --all: and one of the three', async (kind) => {
  const line = ['dead-letters', kind, '--data-dir', '/nonexistent'];
  for (const more of [
    [],
    ['--limit', '5'],
    ['--dry-run'],
    ['--all', '--handler', 'x'],
    ['x/1', '--all'],
    ['x/1', '--type', 'X'],
  ]) {
    expect([more, (await run([...line, ...more])).exitCode]).toEqual([more, 2]);
  }
});

test('replay refuses a stretch that ends before it begins, and what contradicts itself', async () => {
  const line = ['replay', '--data-dir', '/nonexistent', '--handler', 'x'];
  for (const more of [
    ['--from', '5', '--to', '4'],
    ['--since', '2026-02-01', '--until', '2026-01-01'],
    ['--from', '5', '--since', '2026-01-01'],
    ['--to', '5', '--until', '2026-01-01'],
    ['--id', 'x'],
  ]) {
    expect([more, (await run([...line, ...more])).exitCode]).toEqual([more, 2]);
  }
});

test('an environment variable that is set and empty counts as one that is not set', async () => {
  process.env.TRUNKLINE_DATA_DIR = '';
  process.env.TRUNKLINE_POSTGRES = ' ';
  try {
    for (const line of [['dead-letters', 'list'], ['status'], ['migrate']]) {
      expect([line, (await run(line)).exitCode]).toEqual([line, 2]); // it is missing
    }
    expect((await run(['topics', '--help'])).exitCode).toBe(0);
  } finally {
    delete process.env.TRUNKLINE_DATA_DIR;
    delete process.env.TRUNKLINE_POSTGRES;
  }
});

test('a folder that is no data directory is refused by all that want one, and nothing is made', async () => {
  const dataDir = scratchFolder();
  for (const one of commands) {
    if (!one.command.options.some(({ long }) => long === '--data-dir')) continue;
    if (one.path.includes('edit')) continue; // wants a file first
    const line = [...lineOf(one, ['--data-dir', dataDir])];
    if (/requeue|discard/.test(one.path.join())) line.push('--reason', 'failed');
    const { exitCode, text } = await run(line);
    expect([one.path, exitCode, text]).toEqual([
      one.path,
      1,
      expect.stringMatching(/is not a data directory .*does not exist/),
    ]);
  }
  expect(existsSync(dataDir)).toBe(false);
  expect(existsSync(join(dataDir, '..', 'handlers'))).toBe(false);
});
