import { fileURLToPath } from 'node:url';
import { configDefaults, defineConfig, type ViteUserConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** That the gate of the bench can fail: `npm run bench:proof`. Each of them runs many suites of the bench. */
const proofs = ['test/bench/gate.test.ts', 'test/bench/smoke.test.ts'];
const isProof = process.env.TRUNKLINE_PROOF === '1';

/** Small files that run for long: rounds of kills and faults, whole programs. */
const long = /test\/(fault|bench)\/|(kills?|crash|chaos|points|demo|away|deaths)\.test\.ts$/;

/** Those first, so that none of them runs alone at the end; the others by their size, as vitest does. */
class LongFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const isLong = ({ moduleId }: TestSpecification): boolean => long.test(moduleId);
    const bySize = await super.sort(files);
    return [...bySize.filter(isLong), ...bySize.filter((file) => !isLong(file))];
  }
}

// Native modules and crash tests want processes of their own, not threads.
const config: ViteUserConfig = defineConfig({
  resolve: { conditions: ['trunkline-source'] },
  ssr: { resolve: { conditions: ['trunkline-source'] } },
  test: {
    include: isProof ? proofs : ['test/**/*.test.ts'],
    exclude: isProof ? configDefaults.exclude : [...configDefaults.exclude, ...proofs],
    globalSetup: ['test/postgres-setup.ts', 'test/brokers.ts'],
    pool: 'forks',
    // Twice the two cores that the suite is made for: of a file's time 55 % is CPU time, the rest is waiting for a server or a
    // time-out; with three the cores stood idle for a fifth of the run.
    maxWorkers: 4,
    sequence: { sequencer: LongFirst },
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // A runtime is four threads, each with a young heap that begins at 1 MB: a larger one spares 15 % of a start's CPU time.
    execArgv: ['--conditions=trunkline-source', '--min-semi-space-size=16'],
    // Hundreds of processes and threads start here, all from the same sources: types are stripped once.
    env: { NODE_COMPILE_CACHE: fileURLToPath(new URL('node_modules/.cache/node', import.meta.url)) },
    // For people, and for .ci/run, which counts.
    reporters: ['default', ['json', { outputFile: `node_modules/.vitest/${isProof ? 'proof' : 'results'}.json` }]],
  },
});

export default config;
