// Events per second through ring and log, as far as `written` and as far as `synced`, many events a command.
import { createRuntime } from '../src/index.ts';
import { Probe } from './aggregates.ts';
import {
  answer,
  interleave,
  median,
  onScratchFolder,
  roundsOf,
  runAlone,
  type Suite,
  sized,
  thousands,
} from './measure.ts';

const perCommand = 100;
const lanes = 16;

export const writtenAndSynced: Suite = (settings) =>
  onScratchFolder(async (dataDir) => {
    await using runtime = await createRuntime({
      logger: false,
      dataDir,
      aggregates: [Probe],
      shards: 1,
      flush: 'durable',
    });
    const commands = sized(settings, { smoke: 20, quick: 1000, full: 3000 });
    const rate = (ack: 'written' | 'synced') => async (): Promise<number> => {
      const start = performance.now();
      await Promise.all(
        Array.from({ length: lanes }, async (_, lane) => {
          const probe = runtime.ref(Probe, `${ack}${lane}`).with({ ack });
          for (let i = 0; i < commands / lanes; i++) await probe.routeMany(perCommand);
        }),
      );
      return (Math.ceil(commands / lanes) * lanes * perCommand) / ((performance.now() - start) / 1000);
    };
    const { a: written, b: synced } = await interleave(roundsOf(settings, 7), rate('written'), rate('synced'));
    return [
      answer(
        'synced-share',
        synced.map((value, i) => value / written[i]!),
        `${thousands(median(synced))} synced/s, ${thousands(median(written))} written/s; ${perCommand} events a command, ${lanes} in flight`,
      ),
    ];
  });

await runAlone(import.meta.url, writtenAndSynced);
