// The router for any SIP client, in this process, until SIGINT or SIGTERM.
import { once } from 'node:events';
import { join } from 'node:path';
import { summarise } from './report/summary.ts';
import { startRouter } from './routing/router.ts';
import type { Address } from './sip/message.ts';

export interface ServeOptions {
  readonly listen: Address;
  readonly trunks: readonly Address[];
  readonly dataDir: string;
}

const all = Number.MAX_SAFE_INTEGER;
/** Callers need no account of their own here: the house pays. */
const house = { id: 'house', name: 'The house', deposit: '100000.00', creditLimit: '100000.00' };

export async function serve({ listen, trunks, dataDir }: ServeOptions): Promise<void> {
  const stopped = Promise.race([once(process, 'SIGINT'), once(process, 'SIGTERM')]);
  const named = Object.fromEntries(trunks.map((address, index) => [`trunk-${index + 1}`, address]));
  const bids = Object.keys(named).map((trunk, index) => {
    return { id: `${trunk}-anywhere`, trunk, prefix: '', ratePerMinute: `0.0${Math.min(100 + index, 999)}` };
  });
  const router = await startRouter({
    dataDir,
    listen,
    trunks: named,
    provision: { accounts: [house], bids },
    // The only account there is may take the tables whole.
    refusalsPerMinute: all,
    admission: {
      peers: [
        {
          ...{ host: listen.host, accounts: [house.id] },
          ...{ transactionsLimit: all, callsLimit: all, callsPerSecond: all },
        },
      ],
    },
    backOffice: { cdrFile: join(dataDir, 'cdr.csv'), notify: ({ text }) => console.log(text) },
    failed: (error) => console.error(String(error)),
  });
  const { host, port } = router.address;
  console.log(`routing on ${host}:${port} to ${trunks.map((trunk) => `${trunk.host}:${trunk.port}`).join(', ')}`);
  console.log(`data in ${dataDir}; Ctrl-C ends`);
  await stopped;
  const report = router.report();
  await router.stop();
  console.log(summarise(report));
}
