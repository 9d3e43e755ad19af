import { fileURLToPath } from 'node:url';
import { defineConfig, type ViteUserConfig } from 'vitest/config';

// Native modules and crash tests want processes of their own, not threads.
const config: ViteUserConfig = defineConfig({
  resolve: { conditions: ['trunkline-source'] },
  ssr: { resolve: { conditions: ['trunkline-source'] } },
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/postgres-setup.ts', 'test/brokers.ts'],
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 60_000,
    execArgv: ['--conditions=trunkline-source'],
    // Hundreds of processes and threads start here, all from the same sources: types are stripped once.
    env: { NODE_COMPILE_CACHE: fileURLToPath(new URL('node_modules/.cache/node', import.meta.url)) },
    // For people, and for .ci/run, which counts.
    reporters: ['default', ['json', { outputFile: 'node_modules/.vitest/results.json' }]],
  },
});

export default config;
