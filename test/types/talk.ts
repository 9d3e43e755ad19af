// Compiled, never run: commands that ask and send, and the test kit.
import { type CommandContext, Rejected } from 'trunkline';
import { given } from 'trunkline/testing';
import { expectTypeOf } from 'vitest';
import { Call, type CallState, Carrier } from './calls.ts';

declare const call: CommandContext<CallState, typeof Call.events>;

// ask: the value itself, behind a promise
expectTypeOf(call.ask(Carrier, 'c').reserve(1)).toEqualTypeOf<Promise<{ readonly free: number }>>();
expectTypeOf(call.ask(Carrier, 'c', { deadlineMs: 5 }).price()).toEqualTypeOf<Promise<string>>();
// @ts-expect-error: no such command
call.ask(Carrier, 'c').reserv(1);
// @ts-expect-error: another argument
call.ask(Carrier, 'c').reserve('1');
// @ts-expect-error: no such option
call.ask(Carrier, 'c', { deadline: 5 });

// send: nothing to wait for
expectTypeOf(call.send(Carrier, 'c').reserve(1)).toEqualTypeOf<void>();
// @ts-expect-error: no such command
call.send(Carrier, 'c').reserv(1);
// @ts-expect-error: another argument
call.send(Carrier, 'c').reserve('1');

// the test kit
expectTypeOf(given(Call).when.create).parameters.toEqualTypeOf<[input: { caller: string }]>();
given(Call, [{ type: 'CallCreated', data: { caller: 'a', hops: 1 } }])
  .when.route({ trunks: ['t'] })
  .then(['CallRouted', { type: 'CallRouted', data: { trunk: 't', via: 'lcr' } }]);
given(Call).when.end().then(new Rejected('no-such-call'));
expectTypeOf(given(Call).when.end().then([]).state).toEqualTypeOf<CallState>();
// @ts-expect-error: no such event
given(Call, [{ type: 'CallCreatd', data: { caller: 'a', hops: 1 } }]);
// @ts-expect-error: another payload
given(Call, [{ type: 'CallCreated', data: { caller: 1, hops: 1 } }]);
// @ts-expect-error: no such command
given(Call).when.rout({ trunks: [] });
// @ts-expect-error: another payload
given(Call).when.route({ trunks: 1 });
// @ts-expect-error: no such event may be expected
given(Call).when.end().then(['CallEndd']);
