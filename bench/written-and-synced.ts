// Events per second through ring and log, as far as `written` and as far as `synced`, many events a command.
import { createRuntime } from '../src/index.ts';
import { Probe } from './aggregates.ts';
import { interleave, median, onScratchFolder, type Row, runAlone, type Suite, thousands, times } from './measure.ts';

const perCommand = 100;

export const writtenAndSynced: Suite = ({ smoke }) =>
  onScratchFolder(async (dataDir): Promise<Row[]> => {
    await using runtime = await createRuntime({ dataDir, aggregates: [Probe], shards: 1, flush: 'durable' });
    const commands = smoke ? 20 : 3000;
    const rate = (ack: 'written' | 'synced') => async (): Promise<number> => {
      const lanes = 16;
      const start = performance.now();
      await Promise.all(
        Array.from({ length: lanes }, async (_, lane) => {
          const probe = runtime.ref(Probe, `${ack}${lane}`).with({ ack });
          for (let i = 0; i < commands / lanes; i++) await probe.routeMany(perCommand);
        }),
      );
      return (Math.ceil(commands / lanes) * lanes * perCommand) / ((performance.now() - start) / 1000);
    };
    const { a: written, b: synced } = await interleave(smoke ? 1 : 5, rate('written'), rate('synced'));
    const ratio = median(synced.map((value, i) => value / written[i]!));
    return [
      {
        measure: 'synced events/s / written events/s',
        asked: '≥ 0.7 ×',
        measured: times(ratio),
        holds: ratio >= 0.7,
        detail: `${thousands(median(synced))} synced/s, ${thousands(median(written))} written/s; ${perCommand} events a command, 16 in flight`,
      },
    ];
  });

await runAlone(import.meta.url, writtenAndSynced);
