// The servers of the test run in the place of those that the suites of the bench start for themselves: in smoke size no
// figure is wanted, and each start costs seconds.
import { sharedKafka } from '../brokers.ts';
import { serverUrl } from '../postgres.ts';

/** For suites started from here on, until the function is called that it returns. */
export async function shareServers(): Promise<() => void> {
  const before = { ...process.env };
  const names = ['TRUNKLINE_TEST_POSTGRES', 'TRUNKLINE_TEST_KAFKA'];
  [process.env.TRUNKLINE_TEST_POSTGRES, process.env.TRUNKLINE_TEST_KAFKA] = await Promise.all([
    serverUrl(),
    sharedKafka(),
  ]);
  return () => {
    for (const name of names) {
      if (before[name] === undefined) delete process.env[name];
      else process.env[name] = before[name];
    }
  };
}
