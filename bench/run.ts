// npm run bench: what was promised, what is measured, whether it holds.
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { noiseRuns } from './noise.ts';
import { profileSuite } from './profile.ts';
import { gate, measureAll } from './promise.ts';
import { writeReport } from './report/results.ts';
import { measureScales } from './scale/run.ts';
import { scales, suites } from './suites.ts';

const usage = `npm run bench [-- options] [suites]

  (none)            measure every suite in full size and print asked / measured / verdict     about 10 minutes
  --resume          go on with a run that was cut off: what it has measured is kept
  --gate            the same, and exit 1 if a budget is breached
  --attempts N      a suite with a breach is measured up to N times (3): noise goes, a regression stays
  --gate --quick    the seeds' absolute budgets only, in small size                           about 1 minute
  --smoke           every suite in tiny size: that it runs, no figures                        about a minute
  --profile SUITE   one suite with a CPU profile
  --scale [SCALE]   how each cost grows, and its exponent; --resume goes on with one cut off     about 8 minutes
  --everything      suites, scales and peers as far as they are not measured yet, then the report      about 40 minutes
  --report          write bench/RESULTS.md and its plots from what these runs have kept
  --noise N         run everything N times, and write into budget.json by how much runs differ

suites: ${suites.join(', ')}
scales: ${scales.join(', ')}`;

const { values: flags, positionals: names } = readArguments({
  allowPositionals: true,
  options: {
    resume: { type: 'boolean' },
    gate: { type: 'boolean' },
    attempts: { type: 'string', default: '3' },
    quick: { type: 'boolean' },
    smoke: { type: 'boolean' },
    profile: { type: 'string' },
    everything: { type: 'boolean' },
    report: { type: 'boolean' },
    scale: { type: 'boolean' },
    noise: { type: 'string' },
    help: { type: 'boolean' },
  },
});

const known = flags.scale ? scales : suites;
const unknown = names.filter((name) => !known.includes(name));
const size = flags.smoke ? 'smoke' : flags.quick ? 'quick' : 'full';

if (flags.help || unknown.length > 0) {
  console.log(unknown.length > 0 ? `unknown: ${unknown.join(', ')}\n\n${usage}` : usage);
  process.exitCode = unknown.length > 0 ? 2 : 0;
} else if (flags.profile !== undefined && !suites.includes(flags.profile))
  refuse(`--profile ${flags.profile}: no such suite`);
else if ([flags.attempts, flags.noise ?? '1'].some((count) => !/^[1-9]\d*$/.test(count))) {
  refuse('--attempts and --noise want a whole number from 1');
} else if (flags.profile !== undefined) await profileSuite(flags.profile, size);
else if (flags.everything) await everything();
else if (flags.report) writeReport();
else if (flags.scale) await measureScales({ names, size, resume: flags.resume ?? false });
else if (flags.noise !== undefined) await noiseRuns(Number(flags.noise), names);
else if (flags.gate) {
  const run = { names, size, resume: flags.resume ?? false } as const;
  process.exitCode = (await gate(run, Number(flags.attempts))) ? 0 : 1;
} else {
  await measureAll({ names, size, resume: flags.resume ?? false });
  if (flags.smoke && names.length === 0) await measureScales({ names, size, resume: false });
}

function refuse(why: string): void {
  console.log(`${why}\n\n${usage}`);
  process.exitCode = 2;
}

/** As `parseArgs`; what it does not know is said in a sentence, with the usage. */
function readArguments<T extends NonNullable<Parameters<typeof parseArgs>[0]>>(
  config: T,
): ReturnType<typeof parseArgs<T>> {
  try {
    return parseArgs(config);
  } catch (error) {
    console.log(`${(error as Error).message}\n\n${usage}`);
    process.exit(2);
  }
}

/** Resumable: what is kept is not measured again. */
async function everything(): Promise<void> {
  const run = { names: [], size: 'full', resume: true } as const;
  await measureAll(run);
  await measureScales(run);
  const program = fileURLToPath(new URL('./peers/run.ts', import.meta.url));
  spawnSync(process.execPath, ['--conditions=trunkline-source', program, '--resume'], { stdio: 'inherit' });
  writeReport();
}
