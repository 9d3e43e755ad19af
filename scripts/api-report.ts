// api/trunkline.api.md: the public surface, as the emitted declarations say it, so that a change of it is seen and reviewed as
// a diff. `npm run api` builds and writes it; test/package/pack.test.ts fails while it is not up to date.
//
// One section an export, in the order of the alphabet, without comments, private members and file names: what moves within
// src changes nothing here. Types that a user gets to see but cannot import by name have sections of their own.
// (api-extractor makes such reports as well. It brings a TypeScript 6 of its own, and the project compiles with 7.)
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type Comment, type ExportNamedDeclaration, parseSync, type Statement } from 'oxc-parser';
import { root } from './third-party.ts';

export const file: string = join(root, 'api', 'trunkline.api.md');

type Node = { readonly type: string; readonly start: number; readonly end: number } & Readonly<Record<string, unknown>>;

/** Where a name comes from: another module's export (`*`: all of it), or a package's. */
interface Source {
  readonly from: string;
  readonly name: string;
}

interface Module {
  readonly path: string;
  readonly text: string;
  readonly comments: readonly Comment[];
  /** By local name: overloads, and a type beside a value, are several. */
  readonly declared: Map<string, Node[]>;
  readonly imported: Map<string, Source>;
  /** By public name: the local one, or another module's. */
  readonly exported: Map<string, string | Source>;
  readonly passedOn: string[];
}

/** Declarations of one name. */
interface Found {
  readonly module: Module;
  readonly name: string;
}

const modules = new Map<string, Module>();

function moduleAt(path: string): Module {
  const known = modules.get(path);
  if (known !== undefined) return known;
  const text = readFileSync(path, 'utf8');
  const { program, comments, errors } = parseSync(path, text);
  if (errors.length > 0) throw new Error(`${path}: ${errors[0]!.message}`);
  const module: Module = {
    ...{ path, text, comments, declared: new Map(), imported: new Map() },
    ...{ exported: new Map(), passedOn: [] },
  };
  modules.set(path, module);
  for (const statement of program.body) read(module, statement);
  return module;
}

function read(module: Module, statement: Statement): void {
  if (statement.type === 'ImportDeclaration') {
    for (const one of statement.specifiers) {
      const name =
        one.type === 'ImportSpecifier' ? nameOf(one.imported) : one.type === 'ImportDefaultSpecifier' ? 'default' : '*';
      module.imported.set(one.local.name, { from: statement.source.value, name });
    }
  } else if (statement.type === 'ExportAllDeclaration') {
    module.passedOn.push(statement.source.value);
  } else if (statement.type === 'ExportNamedDeclaration') {
    readExport(module, statement);
  } else declare(module, statement as unknown as Node);
}

function readExport(module: Module, statement: ExportNamedDeclaration): void {
  for (const { local, exported } of statement.specifiers) {
    const from = statement.source?.value;
    module.exported.set(nameOf(exported), from === undefined ? nameOf(local) : { from, name: nameOf(local) });
  }
  if (statement.declaration === null) return;
  for (const name of declare(module, statement.declaration as unknown as Node)) module.exported.set(name, name);
}

function declare(module: Module, node: Node): string[] {
  const declarators = node.type === 'VariableDeclaration' ? (node.declarations as Node[]) : [node];
  const names = declarators.flatMap((one) => (one.id as { name?: string } | undefined)?.name ?? []);
  for (const name of names) module.declared.set(name, [...(module.declared.get(name) ?? []), node]);
  return names;
}

const nameOf = (node: { name: string } | { value: string }): string => ('name' in node ? node.name : node.value);

const besides = (module: Module, from: string): Module | undefined =>
  from.startsWith('.') ? moduleAt(join(dirname(module.path), from.replace(/\.[jt]s$/, '.d.ts'))) : undefined;

/** Undefined for what is a package's, the platform's, or a type parameter. */
function findLocal(module: Module, name: string): Found | undefined {
  if (module.declared.has(name)) return { module, name };
  const source = module.imported.get(name);
  return source && findSource(module, source);
}

function findSource(module: Module, { from, name }: Source): Found | undefined {
  const other = besides(module, from);
  return other && findExport(other, name);
}

function findExport(module: Module, name: string): Found | undefined {
  const exported = module.exported.get(name);
  if (typeof exported === 'string') return findLocal(module, exported);
  if (exported !== undefined) return findSource(module, exported);
  for (const from of module.passedOn) {
    const found = findSource(module, { from, name });
    if (found) return found;
  }
  return undefined;
}

function exportsOf(module: Module): string[] {
  const passedOn = module.passedOn.flatMap((from) => exportsOf(besides(module, from)!));
  return [...new Set([...module.exported.keys(), ...passedOn])];
}

const isPrivate = (node: Node): boolean =>
  node.accessibility === 'private' || (node.key as Node | undefined)?.type === 'PrivateIdentifier';

function visit(node: unknown, each: (node: Node) => void): void {
  if (Array.isArray(node)) for (const one of node) visit(one, each);
  else if (typeof node === 'object' && node !== null && 'type' in node) {
    if (isPrivate(node as Node)) return;
    each(node as Node);
    for (const value of Object.values(node)) if (typeof value === 'object') visit(value, each);
  }
}

/** What a declaration refers to, of ours. */
function referred({ module, name }: Found): Found[] {
  const found: (Found | undefined)[] = [];
  visit(module.declared.get(name), (node) => {
    // In declarations an identifier that is a whole type, a super class, `typeof` or a computed key is one of these.
    if (node.type === 'TSImportType') {
      const [from, qualifier] = [(node.source as { value: string }).value, node.qualifier as { name?: string } | null];
      if (qualifier?.name !== undefined) found.push(findSource(module, { from, name: qualifier.name }));
    }
    const { typeName, exprName, superClass, expression, computed, key } = node as Record<string, Node | undefined>;
    for (const one of [typeName, exprName, superClass, expression, computed ? key : undefined]) {
      if (one?.type === 'Identifier') found.push(findLocal(module, one.name as string));
    }
  });
  return found.filter((one) => one !== undefined);
}

/** Its declarations, without comments and private members. */
function print({ module, name }: Found): string {
  return module.declared
    .get(name)!
    .map((node) => {
      const holes = module.comments.map(({ start, end }) => [start, end] as const);
      const members = (node.body as { body?: Node[] } | undefined)?.body ?? [];
      if (Array.isArray(members)) for (const one of members) if (isPrivate(one)) holes.push([one.start, one.end]);
      let text = '';
      let at = node.start;
      for (const [start, end] of holes.sort(([a], [b]) => a - b)) {
        if (start < at || end > node.end) continue;
        text += module.text.slice(at, start);
        at = end;
      }
      return (text + module.text.slice(at, node.end)).replace(/^declare /, '').replaceAll(/^\s*\n|[ \t]+$/gm, '');
    })
    .join('\n');
}

/** Public methods that no comment explains: editors show that of the first overload. */
function bareMethods({ module, name }: Found): string[] {
  const ends = new Set(module.comments.map(({ end }) => end));
  const bare = (node: Node): boolean => !ends.has(module.text.slice(0, node.start).trimEnd().length);
  return module.declared.get(name)!.flatMap((node) => {
    const members = (node.body as { body?: Node[] } | undefined)?.body ?? [];
    const methods = new Map<string, Node>();
    for (const one of members) {
      if (!['TSMethodSignature', 'MethodDefinition', 'TSAbstractMethodDefinition'].includes(one.type)) continue;
      if (isPrivate(one) || one.kind === 'constructor' || one.kind === 'get' || one.override === true) continue;
      const key = module.text.slice((one.key as Node).start, (one.key as Node).end);
      if (!methods.has(key)) methods.set(key, one);
    }
    return [...methods].filter(([, one]) => bare(one)).map(([key]) => `${name}.${key}`);
  });
}

const idOf = ({ module, name }: Found): string => `${module.path}#${name}`;
const compare = (a: string, b: string): number => Number(a > b) - Number(a < b);
const byName = ([a, textA]: [string, string], [b, textB]: [string, string]): number =>
  compare(a.toLowerCase(), b.toLowerCase()) || compare(a, b) || compare(textA, textB);
const section = ([title, text]: [string, string]): string => `\n### ${title}\n\n\`\`\`ts\n${text}\n\`\`\`\n`;

interface Entry {
  /** Of its subpath: `.`, `./postgres`. */
  readonly path: string;
  readonly exported: readonly (readonly [string, Found])[];
}

/** What the package that is built, or installed, in a folder shows, and what it refers to beside it. */
function surfaceOf(folder: string): { name: string; entries: Entry[]; hidden: Found[] } {
  const manifest = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as {
    name: string;
    exports: Record<string, string | { types: string }>;
  };
  modules.clear();
  const reached = new Map<string, Found>();
  const entries: Entry[] = [];
  for (const [path, target] of Object.entries(manifest.exports)) {
    if (typeof target === 'string') continue;
    const entry = moduleAt(join(folder, target.types));
    const exported = exportsOf(entry).map((name): [string, Found] => {
      const found = findExport(entry, name);
      if (found === undefined) throw new Error(`${path} exports ${name}, and there is no declaration of it`);
      reached.set(idOf(found), found);
      return [name, found];
    });
    entries.push({ path, exported });
  }
  const exported = new Set(reached.keys());
  for (const found of reached.values())
    for (const one of referred(found)) if (!reached.has(idOf(one))) reached.set(idOf(one), one);
  return { name: manifest.name, entries, hidden: [...reached.values()].filter((one) => !exported.has(idOf(one))) };
}

/** Methods of the public surface that no comment explains. */
export function uncommented(folder: string): string[] {
  const { entries, hidden } = surfaceOf(folder);
  const exported = entries.flatMap((entry) => entry.exported.map(([, found]) => found));
  return [...new Set([...exported, ...hidden].flatMap(bareMethods))].sort(compare);
}

/** The report on the package that is built, or installed, in a folder. */
export function apiReport(folder: string): string {
  const { name, entries, hidden } = surfaceOf(folder);
  const sections = (found: readonly (readonly [string, Found])[]): string =>
    found
      .map(([title, one]): [string, string] => [title, print(one)])
      .sort(byName)
      .map(section)
      .join('');
  const parts = entries.map(({ path, exported }) => `\n## ${join(name, path)}\n${sections(exported)}`);
  return `# API report

Made by \`npm run api\` from the declarations that are published; a test fails while it is not up to date. Each change here is a change of the public surface: it belongs into CHANGELOG.md.
${parts.join('')}
## Reached, not exported

What the declarations above refer to and no entry exports: seen by users, not to be imported by name.
${sections(hidden.map((one) => [one.name, one]))}`;
}

if (import.meta.main) {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, apiReport(root));
}
