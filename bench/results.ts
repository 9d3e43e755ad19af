// Figures that were taken in full size, one file each under bench/.results: so that a run that was cut off can go on, and the
// report is written without measuring again.
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import type { Machine } from './machine.ts';

/** What every kept result says beside its figures. */
export interface Taken {
  /** ISO 8601. */
  at: string;
  machine: Machine;
}

const folder = new URL('./.results/', import.meta.url);
const fileOf = (name: string): URL => new URL(`${name}.json`, folder);

export function keep<T extends object>(name: string, figures: T, machine: Machine): T & Taken {
  const result = { at: new Date().toISOString(), machine, ...figures };
  mkdirSync(folder, { recursive: true });
  const unfinished = fileOf(`${name}.part`);
  writeFileSync(unfinished, JSON.stringify(result));
  renameSync(unfinished, fileOf(name));
  return result;
}

export function kept<T extends object>(name: string): (T & Taken) | undefined {
  try {
    return JSON.parse(readFileSync(fileOf(name), 'utf8')) as T & Taken;
  } catch {
    return undefined;
  }
}

export const forget = (name: string): void => rmSync(fileOf(name), { force: true });
