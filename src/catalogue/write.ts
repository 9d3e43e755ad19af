// What a catalogue is made of, on the disk: one file, or a folder of files that knows which of them are its own. Both lie in the
// user's repository and may have been changed there. Files are small and can be made again, so none is synced one by one.

import { dirname, join } from 'node:path';
import { lstatSync, rmSync } from '../base/disk.ts';
import { parseJson, readText, refused } from '../base/foreign-file.ts';
import { fits, record } from '../base/json.ts';
import { onPath } from '../base/path-fault.ts';
import { makePrivateFolder, writePrivate } from '../base/private-file.ts';
import type { FilesByPath } from './markdown.ts';

/** Beside the files of a folder: which they are, so that those that are made no more can go. */
const listName = 'trunkline-catalogue.json';
const bytesMost = 512 << 20;

/** Paths that are not as they should be, sorted; and what to do about it. */
export interface Difference {
  readonly path: string;
  readonly what: 'missing' | 'different' | 'left over';
}

/** @throws FileRefused */
export function writeDocument(file: string, content: string): void {
  onPath(file, 'written', () => {
    makePrivateFolder(dirname(file));
    writePrivate(file, content);
  });
}

/** @throws FileRefused */
export function checkDocument(file: string, content: string): Difference[] {
  const found = read(file);
  if (found === content) return [];
  return [{ path: file, what: found === undefined ? 'missing' : 'different' }];
}

/** Files of the folder that are not the catalogue's stay, whatever they are called. @throws FileRefused */
export function writeFolder(folder: string, files: FilesByPath): void {
  onPath(folder, 'written', () => writeFiles(folder, files));
}

function writeFiles(folder: string, files: FilesByPath): void {
  refuseOthers(folder, files);
  for (const path of leftOver(folder, files)) rmSync(join(folder, path), { force: true });
  const folders = new Set<string>();
  // The list first: where the process ends in between, what it has made is known to be a catalogue's.
  for (const [path, content] of [[listName, listText(files)] as const, ...files]) {
    const file = join(folder, path);
    const own = dirname(file);
    if (!folders.has(own)) makePrivateFolder(own);
    folders.add(own);
    writePrivate(file, content);
  }
}

/** Before anything is written: where we would put a file that no catalogue has made. */
function refuseOthers(folder: string, files: FilesByPath): void {
  const own = new Set(listed(folder));
  for (const path of files.keys()) {
    const file = join(folder, path);
    if (own.has(path) || lstatSync(file, { throwIfNoEntry: false }) === undefined) continue;
    const reason = `is there, and ${listName} of its folder does not name it as made here; name another folder, or move it away`;
    throw refused(file, reason);
  }
}

/** @throws FileRefused */
export function checkFolder(folder: string, files: FilesByPath): Difference[] {
  const differences = [...files].flatMap(([path, content]) =>
    checkDocument(join(folder, path), content).map(({ what }): Difference => ({ path, what })),
  );
  const over = leftOver(folder, files).map((path): Difference => ({ path, what: 'left over' }));
  return [...differences, ...over].sort((a, b) => (a.path < b.path ? -1 : 1));
}

const read = (file: string): string | undefined => onPath(file, 'read', () => readText(file, bytesMost));

/** Files that an earlier catalogue has made here, and that this one does not. */
function leftOver(folder: string, files: FilesByPath): string[] {
  return listed(folder).filter((path) => !files.has(path) && read(join(folder, path)) !== undefined);
}

function listed(folder: string): string[] {
  const file = join(folder, listName);
  const content = read(file);
  if (content === undefined) return [];
  const parsed = parseJson(content);
  const paths = fits(parsed, record) ? parsed.files : undefined;
  if (Array.isArray(paths) && paths.every(isOwnPath)) return paths;
  throw refused(file, 'is no list of files that a catalogue has made; take it back from git, or remove it');
}

/** What a catalogue may have made, and nothing that leads out of its folder. */
function isOwnPath(path: unknown): path is string {
  if (typeof path !== 'string' || path.length > 1000) return false;
  const names = path.split('/');
  const isFile = /^(?:index\.mdx|schema\.json|README\.md)$/.test(names.at(-1)!);
  return isFile && names.every((name) => /^[\w-][\w.-]*$/.test(name));
}

const listText = (files: FilesByPath): string => `${JSON.stringify({ files: [...files.keys()] }, undefined, 1)}\n`;
