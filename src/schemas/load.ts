// The aggregates of a user's module, as `--aggregates` of a command names it. The command line's process.

import { pathToFileURL } from 'node:url';
import { accessSync, constants, existsSync, statSync } from '../base/disk.ts';
import { refused } from '../base/foreign-file.ts';
import { onPath } from '../base/path-fault.ts';
import { tame } from '../base/tame.ts';
import { importUserModule, moduleUrl } from '../base/user-module.ts';
import type { AnyAggregate } from '../model/aggregate.ts';
import { checkAggregates } from '../model/aggregates-option.ts';
import { isEventSpec } from '../model/event-spec.ts';

/**
 * Every export that `defineAggregate()` has made, and those in lists that are exported, each once; by name. `file`: a path, also
 * one relative to where the command runs, or a file's URL.
 * @throws FileRefused: there is no such file, importing it fails, it exports no aggregate, or two of one name
 */
export async function loadAggregates(file: string): Promise<AnyAggregate[]> {
  const found = new Set<AnyAggregate>();
  for (const one of Object.values(await exportsOf(file)).flat()) if (isAggregate(one)) found.add(one);
  const aggregates = [...found];
  try {
    if (aggregates.length > 0) checkAggregates(aggregates, undefined);
  } catch (error) {
    throw refused(file, `cannot be used: ${tame(error)}`, {}, error);
  }
  if (aggregates.length > 0) return aggregates;
  throw refused(file, 'exports no aggregate: export what defineAggregate() returns, or a list of these');
}

/** @throws FileRefused: there is no such file, or importing it fails */
export async function exportsOf(file: string): Promise<Record<string, unknown>> {
  const isUrl = URL.canParse(file);
  if (isUrl && moduleUrl(file) === undefined) throw refused(file, 'cannot be imported: name a file, or the URL of one');
  if (!isUrl) checkIsFile(file);
  const url = isUrl ? file : pathToFileURL(file).href;
  try {
    return await importUserModule(url);
  } catch (error) {
    throw refused(file, `cannot be imported: ${inOneLine(error)}`, {}, error);
  }
}

const extensions = ['.ts', '.mts', '.cts', '.js', '.mjs', '.cjs'];

/** Node's own words for these name a module of ours, and not what is wrong. */
function checkIsFile(file: string): void {
  const meant = existsSync(file) ? undefined : extensions.map((end) => file + end).find((one) => existsSync(one));
  if (meant !== undefined)
    throw refused(file, `cannot be imported: it is not there, and ${meant} is: name the whole file`);
  const stats = onPath(file, 'imported', () => {
    accessSync(file, constants.R_OK);
    return statSync(file);
  });
  if (stats.isDirectory()) throw refused(file, 'cannot be imported: it is a folder; name the file of the module');
}

/** What Node says of code that it cannot read has several lines, with a drawing. */
const inOneLine = (error: unknown): string => tame(error).replaceAll(/\s+/g, ' ').trim();

/** Also one of another copy of the package. */
function isAggregate(given: unknown): given is AnyAggregate {
  try {
    const { name, module, events, evolve, commands } = (given ?? {}) as Partial<AnyAggregate>;
    const areObjects = [events, evolve, commands].every((part) => typeof part === 'object' && part !== null);
    return (
      typeof name === 'string' && typeof module === 'string' && areObjects && Object.values(events).every(isEventSpec)
    );
  } catch {
    return false; // a getter that throws, a revoked proxy
  }
}
