// npm run fault -- [FAMILY …] [--seed S] [--SIZE N …]: runs families of faults by name (all, if none is named) and prints one
// line for each; to stderr what it has come to every half minute. Stopped by Ctrl-C, it says what it has found so far. Ends
// with 1 if any of them found anything. The seed makes the schedule of faults; what the operating system does with it
// meanwhile, it does not.
import { families } from './families.ts';
import { type FaultRun, runFamily } from './family.ts';

const tellEveryMs = 30_000;

let current: { name: string; run: FaultRun; began: number } | undefined;

const { names, numbers } = readArguments(process.argv.slice(2));
setInterval(() => console.error(line(', going on')), tellEveryMs).unref();
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, stop);
for (const name of names) {
  const family = families[name]!;
  const missing = family.missing?.();
  if (missing !== undefined) {
    console.log(`${name.padEnd(12)} skipped: ${missing}`);
    continue;
  }
  const run = await runFamily(family, numbers.seed ?? 1, numbers, (begun) => {
    current = { name, run: begun, began: performance.now() };
  });
  console.log(line());
  for (const difference of run.differences.slice(0, Number(process.env.FAULT_LINES ?? 20)))
    console.log(`  ${difference}`);
  if (!run.isWhole) process.exitCode = 1;
}

function line(how = ''): string {
  if (!current) return 'nothing has begun';
  const seconds = ((performance.now() - current.began) / 1000).toFixed(1);
  return `${current.run.summary(current.name)} (${seconds} s${how})`;
}

function stop(): never {
  console.log(line(', stopped'));
  current?.run.end();
  process.exit(130);
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
    if (option[1] === 'help') refuse();
    const value = Number(option[2] ?? words[++i]);
    if (!Number.isFinite(value)) refuse(`--${option[1]} wants a number`);
    numbers[option[1]!.replace(/-(.)/g, (_, letter: string) => letter.toUpperCase())] = value;
  }
  for (const name of names)
    if (!Object.hasOwn(families, name)) refuse(`no family '${name}'; sizes go behind --, as below`);
  const chosen = names.length > 0 ? names : Object.keys(families);
  const known = new Set(['seed', ...chosen.flatMap((name) => Object.keys(families[name]!.sizes))]);
  for (const name of Object.keys(numbers)) if (!known.has(name)) refuse(`no size '${name}' in ${chosen.join(', ')}`);
  return { names: chosen, numbers };
}

function refuse(why?: string): never {
  console.error(`${why === undefined ? '' : `${why}\n\n`}npm run fault -- [FAMILY …] [--seed S] [--SIZE N …]\n`);
  for (const [name, { about, sizes }] of Object.entries(families)) {
    const options = Object.entries(sizes).map(([size, value]) => `--${size} ${value}`);
    console.error(`  ${name.padEnd(12)} ${about}  ${options.join(' ')}`);
  }
  process.exit(why === undefined ? 0 : 2);
}
