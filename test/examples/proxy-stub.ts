// A proxy whose desk is the test's: it routes everything to one trunk, unless the test says otherwise.
import type { Decision, RoutingDesk } from '../../examples/call-routing/proxy/desk.ts';
import type { ProxyOptions } from '../../examples/call-routing/proxy/proxy.ts';
import { SipProxy } from '../../examples/call-routing/proxy/proxy.ts';
import { makeTimers } from '../../examples/call-routing/sip/timers.ts';

export function startProxy(
  trunkPort: number,
  desk: Partial<RoutingDesk> = {},
  options: Partial<ProxyOptions> = {},
): Promise<SipProxy> {
  const route: Decision = { kind: 'route', trunk: 'trunk', address: { host: '127.0.0.1', port: trunkPort } };
  const nothing = async (): Promise<void> => {};
  return SipProxy.start({
    listen: { host: '127.0.0.1', port: 0 },
    desk: {
      place: async () => route,
      answered: nothing,
      failed: nothing,
      completed: nothing,
      coveredMs: () => Number.POSITIVE_INFINITY,
      extend: () => false,
      ...desk,
    },
    admission: { peers: [{ host: '127.0.0.1', accounts: ['ann'] }] },
    timers: makeTimers(),
    transactionsLimit: 100,
    transactionsPerAccount: 100,
    callsLimit: 100,
    forwarded() {},
    failed() {},
    ...options,
  });
}
