// npm run services: what the tests want from outside of npm. Installs what is missing where that is possible without asking
// anybody (Debian, root); says what is skipped and how to get it elsewhere. A test whose SIPp is missing is reported as
// skipped; without a broker and a registry (see java-services.ts) there is nothing to show, and this fails.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chromiumProgram } from './chromium.ts';
import { areBrought, bring, debianPackages, missingTools } from './java-services.ts';
import { archiveClasses } from './kafka.ts';

export interface Service {
  readonly name: string;
  /** What needs it. */
  readonly for: string;
  /** How a person gets it. */
  readonly how: string;
  readonly debianPackages: readonly string[];
  isPresent(): boolean;
}

export const sipp: Service = {
  name: 'SIPp',
  for: 'the call-routing example against a real SIP client (test/examples/sipp.test.ts)',
  how: 'apt-get install sip-tester',
  debianPackages: ['sip-tester'],
  isPresent: () => isOnPath('sipp', '-v'),
};

export const pgbouncer: Service = {
  name: 'PgBouncer',
  for: 'a store and an outbox behind a pooler (test/store/postgres/pooled.test.ts)',
  how: 'apt-get install pgbouncer',
  debianPackages: ['pgbouncer'],
  isPresent: () => isOnPath('pgbouncer', '--version'),
};

export const chromium: Service = {
  name: 'Chromium',
  for: "a catalogue's page in a browser (test/catalogue/browser.test.ts)",
  how: 'apt-get install chromium-headless-shell',
  debianPackages: ['chromium-headless-shell'],
  isPresent: () => chromiumProgram() !== undefined,
};

export const services: readonly Service[] = [sipp, pgbouncer, chromium];

const attempts = 3;

function isOnPath(command: string, ...words: string[]): boolean {
  return spawnSync(command, words, { stdio: 'ignore' }).error === undefined;
}

function canInstall(): boolean {
  return process.getuid?.() === 0 && existsSync('/etc/debian_version') && isOnPath('apt-get', '--version');
}

/** The last lines of what went wrong, or undefined. */
function install(packages: readonly string[]): string | undefined {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  let trouble: string | undefined;
  for (let attempt = 1; attempt <= attempts; attempt++) {
    const retries = ['-o', 'Acquire::Retries=3'];
    const steps = [
      ['update', ...retries],
      ['install', '--yes', '--no-install-recommends', ...retries, ...packages],
    ];
    // A failed update is no reason to stop: the package may be known already.
    const [, installed] = steps.map((step) => spawnSync('apt-get', ['-qq', ...step], { env, encoding: 'utf8' }));
    if (installed!.status === 0) return undefined;
    trouble = (installed!.stderr ?? String(installed!.error)).trim().split('\n').slice(-3).join('\n');
  }
  return trouble;
}

function provide(service: Service): void {
  if (service.isPresent()) return;
  const trouble = canInstall() ? install(service.debianPackages) : 'it is installed only on Debian, by root';
  if (trouble === undefined && service.isPresent()) console.log(`${service.name}: installed`);
  else console.log(`${service.name}: missing, skipped: ${service.for}.\n  ${trouble}\n  To get it: ${service.how}`);
}

/** A broker and a schema registry, unless others are to be used. False, after saying why, if there will be none. */
async function provideKafka(): Promise<boolean> {
  if (process.env.TRUNKLINE_TEST_KAFKA && process.env.TRUNKLINE_TEST_REGISTRY) return true;
  try {
    let missing = missingTools();
    const trouble = missing && canInstall() ? install(debianPackages) : undefined;
    if (missing) missing = missingTools();
    if (missing) throw new Error([`${missing} not found`, trouble].filter(Boolean).join('\n'));
    const isNew = !areBrought();
    bring();
    await archiveClasses();
    if (isNew) console.log('Kafka and schema registry: brought');
    return true;
  } catch (error) {
    console.error(
      `Kafka and schema registry: ${(error as Error).message}\n` +
        `  To get them: apt-get install ${debianPackages.join(' ')}, or name running ones:\n` +
        '  TRUNKLINE_TEST_KAFKA=host:port TRUNKLINE_TEST_REGISTRY=http://host:port/apis/ccompat/v7',
    );
    return false;
  }
}

if (import.meta.main) {
  for (const service of services) provide(service);
  if (!(await provideKafka())) process.exitCode = 1;
}
