// A family of faults: a name, sizes, and a run that injects faults into the real thing and audits what is left.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { addFindings, type Findings, faultsIn, kinds, noFindings } from './audit.ts';

export interface Family {
  about: string;
  /** Its sizes by name, with the small ones that the suite runs. */
  sizes: Readonly<Record<string, number>>;
  /** Why it cannot run on this machine, if so. */
  missing?(): string | undefined;
  run(run: FaultRun): Promise<void>;
}

/** One run of a family: what it is given, and what it has found so far. */
export class FaultRun {
  readonly seed: number;
  readonly findings: Findings = noFindings();
  /** Everything wrong that is not an event lost or damaged: untyped errors, a crash, a hang, a leak. */
  readonly failures: string[] = [];
  /** What the run has to tell beside the counts. */
  readonly notes: string[] = [];
  faults = 0;
  private readonly sizes: Readonly<Record<string, number>>;
  private readonly folders: string[] = [];

  constructor(seed: number, sizes: Readonly<Record<string, number>>) {
    this.seed = seed;
    this.sizes = sizes;
  }

  size(name: string): number {
    const size = this.sizes[name];
    if (size === undefined) throw new Error(`the family has no size '${name}'`);
    return size;
  }

  /** A folder of its own; goes when the run ends, or when `drop` says so. */
  folder(): string {
    const folder = mkdtempSync(join(tmpdir(), 'trunkline-fault-'));
    this.folders.push(folder);
    return folder;
  }

  drop(folder: string): void {
    rmSync(folder, { recursive: true, force: true });
  }

  add(findings: Findings): void {
    addFindings(this.findings, findings);
  }

  fail(what: string): void {
    this.failures.push(what);
  }

  get isWhole(): boolean {
    return this.failures.length === 0 && faultsIn(this.findings) === 0;
  }

  /** Everything found, one line each. */
  get differences(): string[] {
    return [...kinds.flatMap((kind) => this.findings[kind].map((what) => `${kind}: ${what}`)), ...this.failures];
  }

  /** The run in one line. */
  summary(name: string): string {
    const { faults, findings, failures } = this;
    const counts = kinds.map((kind) => `${findings[kind].length} ${kind}`).join(', ');
    const parts = [`${faults} faults`, `${findings.acknowledged} acknowledged`, counts, `${failures.length} failures`];
    return [name.padEnd(12), parts.join(', '), ...this.notes.map((note) => `\n${' '.repeat(13)}${note}`)].join(' ');
  }

  end(): void {
    for (const folder of this.folders.splice(0)) this.drop(folder);
  }
}

/** Run a family in its small sizes, or those given; whatever it found is in what is returned, and in what `onBegin` got. */
export async function runFamily(
  family: Family,
  seed: number,
  sizes: Readonly<Record<string, number>> = {},
  onBegin: (run: FaultRun) => void = () => {},
): Promise<FaultRun> {
  const run = new FaultRun(seed, { ...family.sizes, ...sizes });
  onBegin(run);
  try {
    await family.run(run);
  } catch (error) {
    run.fail(`the family could not go on: ${error instanceof Error ? error.stack : error}`);
  } finally {
    run.end();
  }
  return run;
}
