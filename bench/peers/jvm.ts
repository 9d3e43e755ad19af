// The JVM's peers: fetched from Maven Central and compiled into jvm/target, once.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const folder = new URL('./jvm/', import.meta.url);
const at = (path: string): string => fileURLToPath(new URL(path, folder));

/** Chronicle Queue reaches into the JDK: the modules that its own documentation wants opened on Java 17. */
const opened = [
  'java.base/java.lang',
  'java.base/java.lang.reflect',
  'java.base/java.io',
  'java.base/java.nio',
  'java.base/java.util',
  'java.base/sun.nio.ch',
  'jdk.compiler/com.sun.tools.javac',
];
const exported = [
  'java.base/jdk.internal.ref',
  'java.base/sun.nio.ch',
  'jdk.unsupported/sun.misc',
  'jdk.compiler/com.sun.tools.javac.file',
];

/** The reason why the JVM's peers cannot run, or undefined. */
export function prepareJvm(): string | undefined {
  const java = spawnSync('java', ['-version'], { encoding: 'utf8' });
  if (java.error) return 'no Java: apt-get install openjdk-17-jdk-headless maven';
  const jar = at('target/peers-1.jar');
  const sources = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((file) =>
    /\.(java|xml)$/.test(file),
  );
  const changedAt = Math.max(...sources.map((file) => statSync(at(file)).mtimeMs));
  if (existsSync(jar) && existsSync(at('target/lib')) && statSync(jar).mtimeMs > changedAt) return undefined;
  process.stderr.write('the JVM’s peers are built by Maven …\n');
  const built = spawnSync('mvn', ['-q', '-B', 'clean', 'package'], {
    cwd: fileURLToPath(folder),
    encoding: 'utf8',
    timeout: 600_000,
  });
  if (built.error) return 'no Maven: apt-get install maven';
  if (built.status !== 0)
    return `Maven: ${built.stdout.split('\n').find((line) => line.startsWith('[ERROR]')) ?? built.status}`;
  return undefined;
}

export const javaCommand = (main: string, ...words: string[]): string[] => [
  '-Xmx1g',
  '-Dchronicle.analytics.disable=true',
  ...opened.map((name) => `--add-opens=${name}=ALL-UNNAMED`),
  ...exported.map((name) => `--add-exports=${name}=ALL-UNNAMED`),
  '-cp',
  `${at('target/peers-1.jar')}:${at('target/lib/*')}`,
  `peers.${main}`,
  ...words,
];

export const versionInPom = (property: string): string =>
  new RegExp(`<${property.replace('.', '\\.')}>(.+)</`).exec(readFileSync(at('pom.xml'), 'utf8'))?.[1] ?? '';
