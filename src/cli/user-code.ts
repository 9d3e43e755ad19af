// Modules of the user's in the command line's process. Their code may print, leave timers and connections open, or end the
// process. None of that may decide what a command prints, whether it ends, or its exit code (process.ts): CI reads these.

const imported = new Set<string>();

/** What `load` takes from a module. */
export function fromModule<T>(file: string, load: (file: string) => Promise<T>): Promise<T> {
  imported.add(file);
  return load(file);
}

/** Modules whose code has run, as the command line names them. */
export const importedModules = (): string[] => [...imported];
