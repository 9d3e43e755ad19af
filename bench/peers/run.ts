// npm run bench:peers: installs them, then measures all in turn, round after round, Trunkline among them.
import { fork, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { describe, machine } from '../machine.ts';
import { keep, kept } from '../results.ts';
import { scratchRoot } from '../scratch.ts';
import { type Comparison, comparisonTable, type Peer, type Round } from './comparison.ts';
import { javaCommand, prepareJvm, versionInPom } from './jvm.ts';
import { type Server, startPostgres, startRedis, usage } from './servers.ts';
import { type System, systems } from './systems.ts';

const { values: flags, positionals: names } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: 'string', default: '5' },
    smoke: { type: 'boolean', default: false },
    resume: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});
const here = new URL('./', import.meta.url);
const ms = flags.smoke ? 100 : 1500;
const rounds = flags.smoke ? 1 : Number(flags.rounds);
const limitMs = 60_000;
const unknown = names.filter((name) => !systems.some(({ id }) => id === name));

if (flags.help || unknown.length > 0 || !Number.isSafeInteger(rounds) || rounds < 1) {
  if (unknown.length > 0) console.log(`unknown: ${unknown.join(', ')}\n`);
  if (!(rounds >= 1)) console.log(`--rounds ${flags.rounds}: must be a whole number from 1\n`);
  console.log(`npm run bench:peers [-- options] [systems]

  --rounds N   how often each is measured, in turn (5): about 4 minutes a round
  --resume     go on after the last whole round of a run that was cut off
  --smoke      one tiny round: that they run, no figures

systems: ${systems.map(({ id }) => id).join(', ')}`);
  process.exit(flags.help ? 0 : 2);
}

/** npm ci, unless what is installed is what the lock says. */
function install(): void {
  const installed = new URL('node_modules/.package-lock.json', here);
  const lock = new URL('package-lock.json', here);
  if (existsSync(installed) && statSync(installed).mtimeMs >= statSync(lock).mtimeMs) return;
  const words = ['ci', '--no-audit', '--no-fund', '--loglevel=error'];
  const { status } = spawnSync('npm', words, { cwd: fileURLToPath(here), stdio: 'inherit' });
  if (status !== 0) throw new Error(`npm ci in bench/peers ended with ${status}`);
}

function versionOf({ package: name, runs }: System): string {
  if (name === undefined) return process.version.slice(1);
  if ('java' in runs) return versionInPom(name);
  return JSON.parse(readFileSync(new URL(`node_modules/${name}/package.json`, here), 'utf8')).version;
}

async function onNode(system: System, module: string, name: string, folder: string, server?: Server): Promise<Round> {
  const { inFlight, eventsPerCall } = system;
  const job = JSON.stringify({ module, name, inFlight, eventsPerCall, ms, folder, ...server?.reach });
  const child = fork(fileURLToPath(new URL('round.mjs', here)), [job], {
    execArgv: ['--conditions=trunkline-source', '--disable-warning=ExperimentalWarning'],
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  });
  const complaints = text(child.stderr!);
  const limit = setTimeout(() => child.kill('SIGKILL'), limitMs);
  let told: Round | undefined;
  let [before, after] = [nothing, nothing];
  child.on('message', (message: { phase?: string; round?: Round }) => {
    if (message.phase === 'measured') {
      if (server) before = usage(server.pid);
      child.send('go');
    } else if (message.phase === 'loaded') {
      if (server) after = usage(server.pid);
    } else told = message.round;
  });
  await once(child, 'exit');
  clearTimeout(limit);
  if (told === undefined) throw new Error(reason(await complaints) ?? `no answer within ${limitMs / 1000} s`);
  return together(told, before, after);
}

async function onJvm(main: string, mode: string, folder: string, server?: Server): Promise<Round> {
  const words = javaCommand(main, mode, String(ms), join(folder, 'data'));
  const env = { ...process.env, ...(server?.reach.postgres ? { PEERS_JDBC: jdbc(server.reach.postgres) } : {}) };
  const child = spawn('java', words, {
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: limitMs,
    killSignal: 'SIGKILL',
    env,
  });
  const complaints = text(child.stderr);
  let told: Round | undefined;
  let [before, after] = [nothing, nothing];
  for await (const line of createInterface(child.stdout)) {
    if (line === 'measured' && server) before = usage(server.pid);
    if (line === 'loaded' && server) after = usage(server.pid);
    if (line.startsWith('{')) told = JSON.parse(line);
  }
  if (told === undefined) throw new Error(reason(await complaints) ?? 'it said nothing');
  return together(told, before, after);
}

const nothing = { cpuSeconds: 0, memoryMiB: 0 };

/** A round with what its server took meanwhile. */
const together = (told: Round, before: typeof nothing, after: typeof nothing): Round => ({
  ...told,
  cpuSeconds: told.cpuSeconds + after.cpuSeconds - before.cpuSeconds,
  memoryMiB: told.memoryMiB + after.memoryMiB,
});

function jdbc(url: string): string {
  const { username, password, host, pathname } = new URL(url);
  return `jdbc:postgresql://${host}${pathname}?user=${username}&password=${password}`;
}

/** The line that says what went wrong: not the source line that a stack trace begins with. */
const reason = (complaints: string): string | undefined =>
  /^(?:Exception in thread.*|\w*(?:Error|Exception)\b.*)$/m.exec(complaints)?.[0].slice(0, 200);

async function measureRound(system: System, servers: Map<string, Server>): Promise<Round> {
  const folder = mkdtempSync(join(scratchRoot(), 'trunkline-peers-'));
  try {
    const { runs, needs } = system;
    const server = needs && servers.get(needs);
    await server?.empty();
    if ('java' in runs) return await onJvm(runs.java, runs.mode, folder, server);
    return await onNode(system, runs.module, runs.export, folder, server);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

install();
const on = machine();
console.log(`${describe(on).join('\n')}\n`);
const chosen = systems.filter(({ id }) => names.length === 0 || names.includes(id));
const before = flags.resume ? kept<Comparison>('peers') : undefined;
const comparison: Comparison = { command: 'npm run bench:peers', peers: before?.peers ?? [], missing: [] };
const unfit = new Map<string, string>();
const jvm = chosen.some(({ runs }) => 'java' in runs) ? prepareJvm() : undefined;
const folder = mkdtempSync(join(scratchRoot(), 'trunkline-peers-servers-'));
const servers = new Map<string, Server>();
try {
  for (const [name, start] of [
    ['postgres', startPostgres],
    ['redis', startRedis],
  ] as const) {
    if (!chosen.some(({ needs }) => needs === name)) continue;
    try {
      servers.set(name, await start(folder));
    } catch (error) {
      unfit.set(name, (error as Error).message);
    }
  }
  const done = Math.max(0, ...comparison.peers.map((peer) => peer.rounds.length));
  for (let round = done; round < rounds; round++) {
    // Another one begins each round, so that no system always comes behind the same one.
    const begin = (round * 7) % chosen.length;
    for (const [i, system] of [...chosen.slice(begin), ...chosen.slice(0, begin)].entries()) {
      const { id, system: name, runs, needs } = system;
      process.stderr.write(`round ${round + 1}/${rounds}, ${i + 1}/${chosen.length} ${id} …\n`);
      try {
        const why = ('java' in runs ? jvm : undefined) ?? (needs && unfit.get(needs));
        if (why !== undefined) throw new Error(why);
        const figures = await measureRound(system, servers);
        let peer = comparison.peers.find((candidate) => candidate.id === id);
        if (peer === undefined) {
          const { work, survives, durability, eventsPerCall } = system;
          peer = {
            id,
            system: name,
            version: versionOf(system),
            work,
            survives,
            durability,
            eventsPerCall,
            rounds: [],
          } satisfies Peer;
          comparison.peers.push(peer);
        }
        peer.rounds.push(figures);
      } catch (error) {
        // Tried again in the next round; that it failed in one is said all the same.
        comparison.missing = comparison.missing.filter((missing) => missing.system !== `${name} (${id})`);
        comparison.missing.push({ system: `${name} (${id})`, reason: (error as Error).message });
      }
    }
    if (!flags.smoke && names.length === 0) keep('peers', comparison, on);
  }
} finally {
  for (const server of servers.values()) await server.stop();
  rmSync(folder, { recursive: true, force: true });
}
if (flags.smoke) {
  console.log(`bench:peers: ${comparison.peers.length} systems ran in smoke size; their figures mean nothing`);
  for (const { system, reason: why } of comparison.missing) console.log(`not measured: ${system}: ${why}`);
} else console.log(comparisonTable(comparison).join('\n'));
