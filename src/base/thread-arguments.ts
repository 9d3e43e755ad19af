// With which arguments of Node's the runtime's threads start. They inherit those of the process, for the sake of the modules
// of users that they import (`--conditions`, `--import` of a loader). One of them forbids a thread to start from a file.

/** Says of which type the text of `-e` is; a thread that starts from a file is refused with it. */
const forbidden = '--input-type';

/**
 * What is kept beside it: what decides how modules are found, loaded and reported. Node refuses a list with an argument that
 * holds for the whole process; those hold in threads as well without being named.
 */
const keptWithValue = [
  ...['-C', '--conditions', '--import', '-r', '--require', '--loader', '--experimental-loader'],
  ...['--disable-warning', '--unhandled-rejections'],
];
const kept = [
  ...['--enable-source-maps', '--preserve-symlinks', '--no-warnings', '--no-deprecation', '--trace-warnings'],
  ...[
    '--experimental-strip-types',
    '--no-experimental-strip-types',
    '--no-strip-types',
    '--experimental-transform-types',
  ],
  ...['--experimental-vm-modules', '--experimental-import-meta-resolve', '--no-experimental-require-module'],
];

/** For a `Worker`, or a pool of them: nothing where the thread inherits everything. */
export function threadArguments(
  given: readonly string[] = process.execArgv,
  environment: NodeJS.ProcessEnv = process.env,
): { execArgv?: string[]; env?: NodeJS.ProcessEnv } {
  const { NODE_OPTIONS: options = '' } = environment;
  const isForbidden = (argument: string): boolean => argument.split('=')[0] === forbidden;
  if (![...given, ...options.split(/\s+/)].some(isForbidden)) return {};
  const execArgv: string[] = [];
  for (const [i, argument] of given.entries()) {
    const [name = ''] = argument.split('=');
    if (kept.includes(argument)) execArgv.push(argument);
    else if (keptWithValue.includes(name)) execArgv.push(...given.slice(i, argument === name ? i + 2 : i + 1));
  }
  const rest = options.replaceAll(/(?<!\S)--input-type(?:=|\s+)\S+\s*/g, '');
  return { execArgv, env: { ...environment, NODE_OPTIONS: rest } };
}
