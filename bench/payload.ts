// The payload that every suite uses: 180 bytes of JSON, as a call routing service would raise it.
export interface Routed {
  callId: string;
  from: string;
  to: string;
  trunk: string;
  rate: string;
  currency: string;
  attempts: number;
  codecs: string[];
  at: number;
}

export const routed = (n: number): Routed => ({
  callId: `c-${String(1_000_000_000 + n)}`,
  from: '+4930123456789',
  to: '+4989123456789',
  trunk: 'trunk-07',
  rate: '0.0123',
  currency: 'EUR',
  attempts: 2,
  codecs: ['PCMU', 'PCMA'],
  at: 1_737_000_000_000,
});

export const payloadBytes: number = Buffer.byteLength(JSON.stringify(routed(1)));
