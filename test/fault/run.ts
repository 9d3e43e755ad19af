// npm run fault -- [FAMILY …] [--seed S] [--SIZE N …]: runs families of faults by name (all, if none is named) and prints one
// line for each; what it has come to every half minute, and when it is stopped (Ctrl-C). Ends with 1 if any of them found
// anything. The seed makes the schedule of faults; what the operating system does with it meanwhile, it does not.
import { families } from './families.ts';
import { type FaultRun, runFamily } from './family.ts';

const tellEveryMs = 30_000;

const { names, numbers } = readArguments(process.argv.slice(2));
for (const name of names) {
  const family = families[name]!;
  const missing = family.missing?.();
  if (missing !== undefined) {
    console.log(`${name.padEnd(12)} skipped: ${missing}`);
    continue;
  }
  const began = performance.now();
  const tell = (run: FaultRun, how: string): void => {
    const seconds = ((performance.now() - began) / 1000).toFixed(1);
    console.log(`${run.summary(name)} (${seconds} s${how})`);
  };
  let forget = (): void => {};
  const run = await runFamily(family, numbers.seed ?? 1, numbers, (begun) => {
    const timer = setInterval(() => tell(begun, ', going on'), tellEveryMs);
    const stopped = (): never => {
      tell(begun, ', stopped');
      begun.end();
      process.exit(130);
    };
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, stopped);
    forget = () => {
      clearInterval(timer);
      for (const signal of ['SIGINT', 'SIGTERM'] as const) process.off(signal, stopped);
    };
  }).finally(() => forget());
  tell(run, '');
  for (const difference of run.differences.slice(0, Number(process.env.FAULT_LINES ?? 20)))
    console.log(`  ${difference}`);
  if (!run.isWhole) process.exitCode = 1;
}

function readArguments(words: readonly string[]): { names: string[]; numbers: Record<string, number> } {
  const names: string[] = [];
  const numbers: Record<string, number> = {};
  for (let i = 0; i < words.length; i++) {
    const word = words[i]!;
    const option = /^--([a-z-]+)(?:=(.*))?$/i.exec(word);
    if (!option) {
      names.push(word);
      continue;
    }
    const value = Number(option[2] ?? words[++i]);
    if (!Number.isFinite(value)) stop(`--${option[1]} wants a number`);
    numbers[option[1]!.replace(/-(.)/g, (_, letter: string) => letter.toUpperCase())] = value;
  }
  for (const name of names) if (!Object.hasOwn(families, name)) stop(`no family '${name}'`);
  const chosen = names.length > 0 ? names : Object.keys(families);
  const known = new Set(['seed', ...chosen.flatMap((name) => Object.keys(families[name]!.sizes))]);
  for (const name of Object.keys(numbers)) if (!known.has(name)) stop(`no size '${name}' in ${chosen.join(', ')}`);
  return { names: chosen, numbers };
}

function stop(why: string): never {
  console.error(`${why}\n\nnpm run fault -- [FAMILY …] [--seed S] [--SIZE N …]\n`);
  for (const [name, { about, sizes }] of Object.entries(families)) {
    const options = Object.entries(sizes).map(([size, value]) => `--${size} ${value}`);
    console.error(`  ${name.padEnd(12)} ${about}  ${options.join(' ')}`);
  }
  process.exit(2);
}
