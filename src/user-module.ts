// Modules of the user's that other threads import: named by URL (`import.meta.url`, `import.meta.resolve('./x.ts')`) or by
// absolute path (`__filename`, `require.resolve('./x.js')`). A relative path is refused: it does not say relative to what.
import { isAbsolute } from 'node:path';
import { pathToFileURL } from 'node:url';

export const moduleRule =
  "must be a file's URL or absolute path: import.meta.url, import.meta.resolve('./x.ts'), __filename";

const protocols = ['file:', 'data:']; // what import() takes of a user's

/** The URL of a module that is given by URL or absolute path; undefined: it is neither. */
export function moduleUrl(module: unknown): string | undefined {
  if (typeof module !== 'string') return undefined;
  if (isAbsolute(module)) return pathToFileURL(module).href;
  return URL.canParse(module) && protocols.includes(new URL(module).protocol) ? module : undefined;
}

/** What such a module exports. Of CommonJS also what Node does not find by name, and `exports.default` as the default. */
export async function importUserModule(module: string): Promise<Record<string, unknown>> {
  const namespace = (await import(moduleUrl(module) ?? module)) as Record<string, unknown>;
  const { default: inner } = namespace;
  if (!('module.exports' in namespace) || typeof inner !== 'object' || inner === null) return namespace;
  return '__esModule' in inner ? { ...inner } : { ...inner, default: inner };
}
