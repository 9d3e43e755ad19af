// Modules of the user's that other threads import: named by a file's URL (`import.meta.url`, `import.meta.resolve('./x.ts')`)
// or by absolute path (`__filename`, `require.resolve('./x.js')`). A relative path is refused, since it does not say relative
// to what; so is everything that is no file: code must not come out of an option (`data:`), off the network, or by a bare name.
//
// The one gate: no other file of src imports what an option names. With `moduleRoots`, it lets through what lies within
// these folders once links are resolved, and imports that very file.

import { basename, dirname, extname, isAbsolute, join, sep } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { invalid } from './checks.ts';
import { realpathSync } from './disk.ts';

export const moduleRule =
  "must be a file's URL or absolute path: import.meta.url, import.meta.resolve('./x.ts'), __filename";

/** Modules of ours that threads import as they import users': the files named `adapter` in folders of `adapters/`. No others. */
function isOwnModule(file: string): boolean {
  const here = fileURLToPath(import.meta.url);
  const adapters = join(realpathSync(dirname(here)), '..', 'adapters', sep);
  return file.startsWith(adapters) && basename(file) === `adapter${extname(here)}`;
}

/** Of this thread; undefined: from anywhere. */
let rootsHere: readonly string[] | undefined;

/** From now on this thread imports modules within these folders only. Called by the thread's entry, before it imports any. */
export function confineModules(roots: readonly string[] | undefined): void {
  rootsHere = roots;
}

/** The URL of a module that is given by URL or absolute path; undefined: it is neither. */
export function moduleUrl(module: unknown): string | undefined {
  if (typeof module !== 'string') return undefined;
  if (isAbsolute(module)) return pathToFileURL(module).href;
  return fileOf(module) === undefined ? undefined : module;
}

/** The file of a URL; undefined: it has none, is on another host, or has a separator that is written out. */
function fileOf(url: string): string | undefined {
  if (!URL.canParse(url) || new URL(url).protocol !== 'file:') return undefined;
  try {
    return fileURLToPath(url);
  } catch {
    return undefined;
  }
}

/** Folders as `moduleRoots` names them, links resolved. @throws InvalidOptions */
export function resolveRoots(roots: readonly string[] | undefined): readonly string[] | undefined {
  if (roots === undefined) return undefined;
  if (!Array.isArray(roots) || roots.length === 0) invalid('moduleRoots', roots, 'must be a list of folders');
  return roots.map((root: unknown) => {
    const url = moduleUrl(root);
    if (url === undefined) invalid('moduleRoots', root, "must be a folder's URL or absolute path");
    try {
      return realpathSync(fileURLToPath(url));
    } catch (error) {
      return invalid('moduleRoots', root, `cannot be found (${(error as NodeJS.ErrnoException).code})`);
    }
  });
}

/** Whether an option may name this module. @throws InvalidOptions */
export function checkModule(option: string, module: unknown, roots?: readonly string[] | undefined): void {
  const url = moduleUrl(module) ?? invalid(option, module, moduleRule);
  placeIn(url, roots, (reason) => invalid(option, module, reason));
}

/** The URL to import: of the file itself where there are roots. */
function placeIn(url: string, roots: readonly string[] | undefined, refuse: (reason: string) => never): string {
  if (roots === undefined) return url;
  let file: string;
  try {
    file = realpathSync(fileURLToPath(url));
  } catch (error) {
    return refuse(`cannot be found (${(error as NodeJS.ErrnoException).code})`);
  }
  const isWithin = roots.some((root) => file.startsWith(root.endsWith(sep) ? root : `${root}${sep}`));
  if (!isWithin && !isOwnModule(file)) refuse(`lies outside of moduleRoots (${roots.join(', ')})`);
  const { search, hash } = new URL(url);
  return pathToFileURL(file).href + search + hash;
}

/**
 * What such a module exports. Of CommonJS also what Node does not find by name, and `exports.default` as the default.
 * @throws InvalidOptions: it is no file's, or lies outside of this thread's roots
 */
export async function importUserModule(module: string): Promise<Record<string, unknown>> {
  const refuse = (reason: string): never => invalid('module', module, reason);
  const url = placeIn(moduleUrl(module) ?? refuse(moduleRule), rootsHere, refuse);
  const namespace = (await import(url)) as Record<string, unknown>;
  const { default: inner } = namespace;
  if (!('module.exports' in namespace) || typeof inner !== 'object' || inner === null) return namespace;
  return '__esModule' in inner ? { ...inner } : { ...inner, default: inner };
}
