// Nothing that Node calls by itself may throw into the process: a sweep over src finds each timer, watcher, listener and
// promise that nobody awaits, and what guards them holds what it is given.
import { execFile } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { guarded } from '../src/base/guarded.ts';
import { resolveLogger } from '../src/base/logger.ts';

const src = fileURLToPath(new URL('../src', import.meta.url));

/** Places without a guard, each with the reason why it needs none. */
const exempt: Readonly<Record<string, string>> = {
  "shared/exit-guard.ts: process.on('exit', shutGates)": 'atomics alone; the process is ending',
  'runtime/effects.ts: .once(effectKey, effect)': 'no listener: Inbox.once',
  'runtime/runtime.ts: this.once = (effectKey, effect) =>': 'no listener: Inbox.once',
  'runtime/handlers-stage.ts: .once(key, effect)': 'no listener: Inbox.once',
  'bus/bus.ts: this.emitter.on(name, heard)': 'called by emit(), in a turn; deliver() catches',
  "base/thread.ts: worker.once('error', (error) =>": 'keeps a text',
  "base/thread.ts: worker.once('exit', (code) =>": 'settles a promise',
  "adapters/postgres/schema/session.ts: client.on('error', () =>": 'sets a flag',
  "adapters/postgres/schema/session.ts: client.on('end', () =>": 'sets a flag',
  "runtime/handlers-requests.ts: ).on('error', () =>": 'closes the watcher; close() does not throw',
  "adapters/postgres/session/server-session.ts: pool.on('connect', (client) =>": 'adds a listener',
  "catalogue/page-script.ts: box.addEventListener('input', search)": 'a text: it runs in a browser',
};

const timers = /\b(?:setTimeout|setInterval|setImmediate|queueMicrotask|nextTick)\(([^)\s][^;]*)/g;
const listeners = /\.(?:on|once|addListener|addEventListener)\((['\w]+,[^;]*)/g;
const watchers = /(?:= |return )watch\(([^;]*)/g;

function* filesOf(folder: string, prefix = ''): Iterable<[string, string]> {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = prefix + entry.name;
    if (entry.isDirectory()) yield* filesOf(join(folder, entry.name), `${path}/`);
    else if (entry.name.endsWith('.ts')) yield [path, readFileSync(join(folder, entry.name), 'utf8')];
  }
}

const withoutComments = (text: string): string =>
  text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/(^|\s)\/\/.*$/gm, '$1');

/** The call's callback, by its text: guarded, harmless by its shape, or a name that was guarded where it was made. */
function isGuarded(args: string, text: string): boolean {
  const callback = args.replace(/^\s*(?:'[a-z]+'|this\.folder),\s*(?:\{[^}]*\},\s*)?/i, '').trimStart();
  if (/^guarded\(/.test(callback)) return true;
  if (/^(?:resolve|reject)\b/.test(callback) || /^\(\) => \{\}/.test(callback)) return true;
  const name = /^(?:this\.)?(\w+)\b/.exec(callback)?.[1];
  return name !== undefined && new RegExp(`\\b${name}(?:: [^=]+)? = guarded\\(`).test(text);
}

test('every timer, watcher and listener of src is guarded, or exempt for a reason', () => {
  const used = new Set<string>();
  const open: string[] = [];
  for (const [path, whole] of filesOf(src)) {
    if (path.startsWith('cli/')) continue; // a process of its own, which ends with an error
    const text = withoutComments(whole);
    const watching = /\bwatch\b[^;]*from '[^']*\/disk\.ts'/.test(text) ? [...text.matchAll(watchers)] : [];
    for (const match of [...text.matchAll(timers), ...text.matchAll(listeners), ...watching]) {
      if (isGuarded(match[1]!, text)) continue;
      const line = text.slice(text.lastIndexOf('\n', match.index) + 1, text.indexOf('\n', match.index)).trim();
      const place = `${path}: ${line}`;
      const reason = Object.keys(exempt).find((known) => place.startsWith(known) || isPart(known, place));
      if (reason === undefined) open.push(place);
      else used.add(reason);
    }
  }
  expect(open).toEqual([]);
  expect(Object.keys(exempt).filter((known) => !used.has(known))).toEqual([]);
});

function isPart(known: string, place: string): boolean {
  const [file, text] = [known.slice(0, known.indexOf(': ')), known.slice(known.indexOf(': ') + 2)];
  return place.startsWith(`${file}: `) && place.includes(text);
}

test('no promise is thrown away: there is no `void` in front of one', () => {
  const open: string[] = [];
  for (const [path, whole] of filesOf(src)) {
    for (const match of withoutComments(whole).matchAll(/^.*(?:^|[^:>|<&] |\(|\) )void (?![=>);,|\]}])[\w(].*$/gm)) {
      if (/void \(value as Record/.test(match[0]) || /void line;/.test(match[0])) continue; // reads a getter; an unused name
      open.push(`${path}: ${match[0].trim()}`);
    }
  }
  expect(open).toEqual([]);
});

test('a guard hands arguments through', () => {
  const seen: number[] = [];
  guarded((a: number, b: number) => seen.push(a + b))(1, 2);
  expect(seen).toEqual([3]);
});

/** Run a module's text in a process of its own; what it has written on stderr, line by line. */
async function stderrOf(code: string): Promise<string[]> {
  const imports = ['guarded', 'logger'].map((name) => `import * as ${name} from '${src}/base/${name}.ts';`).join('\n');
  const script = `${imports}\nconst later = () => new Promise((resolve) => setTimeout(resolve, 20));\n${code}`;
  const args = ['--no-warnings', '--conditions=trunkline-source', '--input-type=module', '-e', script];
  const { stderr } = await promisify(execFile)(process.execPath, args);
  return stderr.split('\n').slice(0, -1);
}

const messageOf = (line: string): string => {
  const { msg, err } = JSON.parse(line) as { msg: string; err?: { message: string } };
  return err === undefined ? msg : `${msg}: ${err.message}`;
};

test('a guard hands on what is thrown and what is rejected, and survives a report that throws', async () => {
  const lines = await stderrOf(`
    const fail = (error) => { throw new Error('reporting ' + error.message); };
    const told = [];
    guarded.guarded(() => { throw new Error('thrown'); }, (error) => told.push(error.message))();
    guarded.guarded(async () => { await undefined; throw new Error('rejected'); }, (error) => told.push(error.message))();
    guarded.guarded(() => { throw new Error('first'); }, fail)();
    guarded.unawaited(Promise.reject(new Error('second')), fail);
    guarded.guarded(() => { throw new Error('unreported'); })();
    await later();
    console.error(JSON.stringify({ msg: told.join() }));
  `);
  const stray = 'an error that nothing was waiting for; the runtime goes on';
  const expected = ['thrown,rejected', ...['first', 'second', 'unreported'].map((cause) => `${stray}: ${cause}`)];
  expect(lines.map(messageOf).toSorted()).toEqual(expected.toSorted());
});

test('a logger that throws, rejects, or loses its methods throws at nobody; its messages go to stderr', async () => {
  const lines = await stderrOf(`
    const hostile = {
      debug: () => Promise.reject(new Error('of debug')),
      info() { throw new Error('of info'); },
      warn() { throw undefined; },
      error: () => ({ get then() { throw new Error('of then'); } }),
    };
    const logger_ = logger.resolveLogger(hostile);
    for (const level of ['debug', 'info', 'warn', 'error']) logger_[level]({}, level);
    hostile.error = undefined;
    logger_.error({}, 'gone');
    await later();
  `);
  const told = lines.map(messageOf);
  expect(told.filter((message) => !message.startsWith('the logger failed')).toSorted()).toEqual([
    'error',
    'gone',
    'warn',
  ]);
  expect(told.filter((message) => message.startsWith('the logger failed'))).toHaveLength(5);
});

test('without a logger warnings and errors go to stderr, nothing else does; with `false` nothing does', async () => {
  const lines = await stderrOf(`
    for (const given of [undefined, false]) {
      const resolved = logger.resolveLogger(given);
      for (const level of ['debug', 'info', 'warn', 'error']) resolved[level]({ given: String(given) }, level);
    }
  `);
  expect(lines.map((line) => JSON.parse(line))).toMatchObject([
    { level: 40, name: 'trunkline', given: 'undefined', msg: 'warn' },
    { level: 50, name: 'trunkline', given: 'undefined', msg: 'error' },
  ]);
});

test('a logger is asked with its own `this`, and for its method at the time', () => {
  const told: string[] = [];
  const logger = {
    name: 'mine',
    debug() {},
    info() {},
    warn(_: object, message: string) {
      told.push(`${this.name} ${message}`);
    },
    error() {},
  };
  const resolved = resolveLogger(logger);
  resolved.warn({}, 'a');
  logger.warn = (_, message) => told.push(`later ${message}`);
  resolved.warn({}, 'b');
  expect(told).toEqual(['mine a', 'later b']);
});
