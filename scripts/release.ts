// npm run release [-- --dry-run] [--out DIR]: makes a release of the version in package.json, up to the signed tag; what only
// a maintainer may do (push, publish) is printed at the end. --dry-run does the cheap steps only, names the others, and
// tells everything that stands in the way instead of stopping at the first.
//
// The SBOM and the list of licences are of the tree that the tests run on. Provenance says which commit a package was built
// from; npm makes it where it can check that, in a CI job of the public repository, so publishing is a step of its own.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { installed, permissive, root, thirdParty, file as thirdPartyFile } from './third-party.ts';

interface Manifest {
  name: string;
  version: string;
  repository?: unknown;
}

interface Step {
  what: string;
  /** Left out by a dry run. */
  isLong?: boolean;
  /** @throws what stands in the way */
  take(): void;
}

const { values } = parseArgs({
  options: { 'dry-run': { type: 'boolean', default: false }, out: { type: 'string', default: 'release' } },
});
const dryRun = values['dry-run'];
const out = resolve(root, values.out);
const { name, version, repository } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as Manifest;
const tag = `v${version}`;
const tarball = join(out, `${name}-${version}.tgz`);
const sbomFile = join(out, `${name}-${version}.cdx.json`);

const steps: readonly Step[] = [
  { what: 'the work tree is clean', take: () => requireEmpty(run('git', ['status', '--porcelain']), 'not committed') },
  { what: `there is no tag ${tag} yet`, take: () => requireEmpty(run('git', ['tag', '--list', tag]), 'there already') },
  { what: 'CHANGELOG.md has the version, with a date', take: checkChangelog },
  { what: 'package.json names the repository, which provenance needs', take: checkRepository },
  { what: 'licences are permissive, and listed in THIRD-PARTY.md', take: checkLicences },
  { what: 'install exactly what the lock file says', isLong: true, take: () => show('npm', ['ci']) },
  { what: 'types, lint, tests', isLong: true, take: () => show('npm', ['test']) },
  {
    what: 'benchmarks that run, and a gate that can fail',
    isLong: true,
    take: () => show('npm', ['run', '-s', 'bench:proof']),
  },
  {
    what: 'hostile input, and what the registry knows of weaknesses',
    isLong: true,
    take: () => show('npm', ['run', '-s', 'fault', '--', 'security']),
  },
  { what: `SBOM (CycloneDX): ${basename(sbomFile)}`, take: writeSbom },
  {
    what: `build and pack: ${basename(tarball)}`,
    isLong: true,
    take: () => show('npm', ['pack', '--pack-destination', out]),
  },
  { what: 'SHA256SUMS of both', isLong: true, take: writeSums },
  {
    what: `sign the tag ${tag}`,
    isLong: true,
    take: () => show('git', ['tag', '--sign', tag, '-m', `${name} ${version}`]),
  },
];

const inTheWay: string[] = [];
mkdirSync(out, { recursive: true });
for (const { what, isLong = false, take } of steps) {
  if (dryRun && isLong) {
    console.log(`later  ${what}`);
    continue;
  }
  try {
    take();
    console.log(`done   ${what}`);
  } catch (error) {
    const { message } = error as Error;
    console.log(`NOT    ${what}: ${message}`);
    inTheWay.push(what);
    if (!dryRun) break;
  }
}
if (inTheWay.length > 0) process.exitCode = 1;
else {
  console.log(`
Then, a maintainer:
  git verify-tag ${tag} && git push origin ${tag}
  npm publish ${tarball} --provenance --access public    # in the CI job of that tag: provenance needs its identity
  attach ${basename(sbomFile)} and SHA256SUMS to the release of the tag`);
}

function run(command: string, words: string[]): string {
  const { status, stdout, stderr, error } = spawnSync(command, words, {
    cwd: root,
    encoding: 'utf8',
    maxBuffer: 1 << 26,
  });
  if (status !== 0) throw error ?? new Error(`${command} ${words.join(' ')}: ${stderr.trim() || status}`);
  return stdout;
}

function show(command: string, words: string[]): void {
  const { status, error } = spawnSync(command, words, { cwd: root, stdio: 'inherit' });
  if (status !== 0) throw error ?? new Error(`${command} ${words.join(' ')} ended with ${status}`);
}

function requireEmpty(text: string, why: string): void {
  if (text.trim() !== '') throw new Error(`${why}: ${text.trim().split('\n').slice(0, 5).join(', ')}`);
}

function checkChangelog(): void {
  const heading = /^## \[?(\d[^\s\]]*)\]? - (.*)$/m.exec(readFileSync(join(root, 'CHANGELOG.md'), 'utf8'));
  if (heading?.[1] !== version) throw new Error(`its newest section is ${heading?.[1]}, package.json says ${version}`);
  if (!/^\d{4}-\d\d-\d\d$/.test(heading[2]!)) throw new Error(`'${heading[2]}' is no date`);
}

function checkRepository(): void {
  if (repository === undefined) throw new Error('it has no field "repository"');
}

function checkLicences(): void {
  const others = installed().filter(({ licence }) => !permissive.includes(licence));
  if (others.length > 0) throw new Error(others.map((one) => `${one.name} (${one.licence})`).join(', '));
  if (readFileSync(thirdPartyFile, 'utf8') !== thirdParty()) throw new Error('run `node scripts/third-party.ts`');
}

interface Sbom {
  metadata: { component: { name: string } };
  components: { 'bom-ref': string }[];
  dependencies: { ref: string; dependsOn: string[] }[];
}

/** Of all that is locked, what is installed with us. (npm's own `--omit dev` leaves out pg, which our tests use as well.) */
function writeSbom(): void {
  const words = ['sbom', '--sbom-format', 'cyclonedx', '--sbom-type', 'library', '--package-lock-only'];
  const sbom = JSON.parse(run('npm', words)) as Sbom;
  const kept = new Set(installed().map((one) => `${one.name}@${one.version}`));
  sbom.metadata.component.name = name; // npm takes the name of the folder
  sbom.components = sbom.components.filter((one) => kept.has(one['bom-ref']));
  sbom.dependencies = sbom.dependencies
    .filter(({ ref }) => kept.has(ref) || ref === `${name}@${version}`)
    .map(({ ref, dependsOn }) => ({ ref, dependsOn: dependsOn.filter((one) => kept.has(one)) }));
  const missing = kept.size - new Set(sbom.components.map((one) => one['bom-ref'])).size;
  if (missing !== 0) throw new Error(`npm's SBOM lacks ${missing} of the packages that are installed with us`);
  writeFileSync(sbomFile, `${JSON.stringify(sbom, undefined, 2)}\n`);
}

function writeSums(): void {
  const line = (path: string): string =>
    `${createHash('sha256').update(readFileSync(path)).digest('hex')}  ${basename(path)}\n`;
  writeFileSync(join(out, 'SHA256SUMS'), [tarball, sbomFile].map(line).join(''));
}
