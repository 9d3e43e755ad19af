// The broker and the registry as files: brought by Maven (pom.xml beside this file) into the user's cache, outside
// node_modules, so that they survive `npm ci`. A class archive beside them makes the broker start in a second.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';

const pom = new URL('./pom.xml', import.meta.url).pathname;
const javaLeast = 17;
const attempts = 3;

/** Where Maven puts them. The number goes up with the versions in pom.xml. */
export const servicesFolder: string = join(
  process.env.XDG_CACHE_HOME || join(homedir(), '.cache'),
  'trunkline',
  'services-2',
);
const doneFile = join(servicesFolder, 'done');

/** Kafka's class path. */
export const kafkaClassPath: string = join(servicesFolder, 'kafka', '*');
/** The registry's program. */
export const registryJar: string = join(servicesFolder, 'registry', 'apicurio-registry-app-2.6.13.Final-runner.jar');

export const debianPackages: readonly string[] = ['default-jre-headless', 'maven'];

/** What is missing to run them, in words; undefined if nothing is. */
export function missingTools(): string | undefined {
  const java = spawnSync('java', ['-version'], { encoding: 'utf8' });
  const version = Number(/version "(\d+)/.exec(java.stderr ?? '')?.[1] ?? 0);
  const missing: string[] = [];
  if (java.error || version < javaLeast)
    missing.push(`Java ${javaLeast} or newer${version ? ` (found ${version})` : ''}`);
  if (!areBrought() && spawnSync('mvn', ['-v'], { stdio: 'ignore' }).error) missing.push('Maven (mvn)');
  return missing.length === 0 ? undefined : missing.join(' and ');
}

export function areBrought(): boolean {
  return existsSync(doneFile) && existsSync(registryJar);
}

/** Have Maven bring them. Throws with the last lines of what it said. */
export function bring(): void {
  if (areBrought()) return;
  mkdirSync(servicesFolder, { recursive: true });
  let said = '';
  for (let attempt = 1; attempt <= attempts; attempt++) {
    const words = ['-q', '-B', '-f', pom, `-Dservices.folder=${servicesFolder}`, 'package'];
    const maven = spawnSync('mvn', words, { encoding: 'utf8', timeout: 600_000 });
    if (maven.status === 0 && readdirSync(join(servicesFolder, 'kafka')).length > 0) {
      writeFileSync(doneFile, '');
      return;
    }
    said = `${maven.stdout}${maven.stderr}${maven.error ?? ''}`.trim().split('\n').slice(-5).join('\n');
  }
  throw new Error(`Maven could not bring the broker and the registry in ${attempts} attempts:\n${said}`);
}
