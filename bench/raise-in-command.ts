// raise() inside a command, in a real shard, against JSON.stringify of the same payload.
import { createRuntime } from '../src/index.ts';
import { Probe } from './aggregates.ts';
import {
  answer,
  median,
  micros,
  onScratchFolder,
  percentiles,
  roundsOf,
  runAlone,
  type Suite,
  sized,
} from './measure.ts';

export const raiseInCommand: Suite = (settings) =>
  onScratchFolder(async (dataDir) => {
    await using runtime = await createRuntime({ logger: false, dataDir, aggregates: [Probe], shards: 1 });
    const probe = runtime.ref(Probe, 'raise').with({ metadata: { correlationId: 'bench-1', source: 'bench' } });
    const commands = sized(settings, { smoke: 2, quick: 20, full: 40 });
    const bursts = settings.smoke ? 2 : 200;
    const round = async () => {
      const results = [];
      for (let i = 0; i < commands; i++) results.push((await probe.timeRaise(bursts)).value);
      return {
        stringify: median(results.map(({ stringify }) => stringify.p50)),
        raise: median(results.map(({ raise }) => raise.p50)),
        p99: percentiles(results.flatMap(({ singles }) => singles)).p99,
      };
    };
    for (let i = 0; i < 2; i++) await round(); // warm: code, ring, log
    const rounds = [];
    for (let i = 0; i < roundsOf(settings, 10); i++) rounds.push(await round());
    const [stringify, raise] = [median(rounds.map((r) => r.stringify)), median(rounds.map((r) => r.raise))];
    const p99 = rounds.map((r) => r.p99);
    return [
      answer(
        'raise-ratio',
        rounds.map((r) => r.raise / r.stringify),
        `raise ${micros(raise)}, stringify ${micros(stringify)}: bursts of 16 in turn, ${commands} commands of ${bursts} a round`,
      ),
      answer('raise-p99', p99, 'each raise timed alone, the clock included; all commands of a round together'),
      answer('create-event', p99, 'the same figure'),
    ];
  });

await runAlone(import.meta.url, raiseInCommand);
