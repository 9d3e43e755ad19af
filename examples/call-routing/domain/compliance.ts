// Compliance of one number: whether its owner has consented to be called, and what was checked about calls to it.
import { defineAggregate, event, Rejected } from 'trunkline';
import { z } from 'zod';

export interface ComplianceState {
  readonly consent: 'unknown' | 'granted' | 'revoked';
  readonly violations: number;
}

const checked = z.object({ callId: z.string().min(1), rule: z.enum(['consent', 'trunk']) });

export const Compliance = defineAggregate('compliance', {
  module: import.meta.url,
  state: (): ComplianceState => ({ consent: 'unknown', violations: 0 }),
  events: {
    ConsentGranted: event<{ channel: string }>(),
    ConsentRevoked: event<{ reason: string }>(),
    ComplianceCheckPassed: event(checked),
    ComplianceViolationDetected: event(checked.extend({ detail: z.string() })),
  },
  evolve: {
    ConsentGranted: (state) => ({ ...state, consent: 'granted' }),
    ConsentRevoked: (state) => ({ ...state, consent: 'revoked' }),
    ComplianceCheckPassed: (state) => state,
    ComplianceViolationDetected: (state) => ({ ...state, violations: state.violations + 1 }),
  },
  commands: {
    grantConsent(number, channel: string) {
      if (number.state.consent === 'granted') throw new Rejected('consent-granted-already');
      number.raise('ConsentGranted', { channel });
    },
    revokeConsent(number, reason: string) {
      if (number.state.consent === 'revoked') throw new Rejected('consent-revoked-already');
      number.raise('ConsentRevoked', { reason });
    },
    /** A call to this number has been made. */
    checkCalled(number, callId: string) {
      if (number.state.consent !== 'revoked') number.raise('ComplianceCheckPassed', { callId, rule: 'consent' });
      else number.raise('ComplianceViolationDetected', { callId, rule: 'consent', detail: 'consent was revoked' });
    },
    /** A call has been routed by a trunk; some are not allowed. */
    checkRouted(number, { callId, trunk, isAllowed }: { callId: string; trunk: string; isAllowed: boolean }) {
      if (isAllowed) number.raise('ComplianceCheckPassed', { callId, rule: 'trunk' });
      else number.raise('ComplianceViolationDetected', { callId, rule: 'trunk', detail: `trunk ${trunk}` });
    },
  },
});
