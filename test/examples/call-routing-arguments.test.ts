// The demo's command line: what it takes, and what it says to what it does not take.
import { describe, expect, test } from 'vitest';
import { readArguments, UsageError } from '../../examples/call-routing/arguments.ts';

test('the demo by default', () => {
  expect(readArguments([])).toEqual({ mode: 'demo', calls: 5_000, rate: 400, postgres: false, data: undefined });
  expect(readArguments(['--calls', '100', '--data', 'here'])).toMatchObject({ calls: 100, data: 'here' });
  expect(readArguments(['--postgres'])).toMatchObject({ mode: 'demo', postgres: true });
  expect(readArguments(['--help'])).toEqual({ mode: 'help' });
});

test('serving', () => {
  expect(readArguments(['--listen', '5060', '--trunk', '127.0.0.1:5070', '--trunk', 'localhost:5071'])).toEqual({
    mode: 'serve',
    listen: { host: '127.0.0.1', port: 5060 },
    trunks: [
      { host: '127.0.0.1', port: 5070 },
      { host: '127.0.0.1', port: 5071 },
    ],
    data: undefined,
  });
});

describe('refused, by name', () => {
  test.each([
    [['--port', '5060'], /--port/],
    [['extra'], /extra/],
    [['--calls', 'many'], /--calls is 'many'/],
    [['--calls', '99'], /from 100 to 100000/],
    [['--rate', '0'], /--rate is '0'/],
    [['--listen', '70000', '--trunk', '127.0.0.1:5070'], /--listen is '70000'/],
    [['--listen', '5060'], /at least one --trunk/],
    [['--trunk', '127.0.0.1:5070'], /--trunk needs --listen/],
    [['--listen', '5060', '--trunk', '192.0.2.1:5070'], /must be HOST:PORT on loopback/],
    [['--listen', '5060', '--trunk', '127.0.0.1'], /must be HOST:PORT on loopback/],
    [['--listen', '5060', '--trunk', '127.0.0.1:99999'], /must be HOST:PORT on loopback/],
    [['--listen', '5060', '--trunk', '127.0.0.1:5060'], /the router itself/],
    [['--data', ''], /--data needs/],
  ])('%j', (words, message) => {
    expect(() => readArguments(words)).toThrow(UsageError);
    expect(() => readArguments(words)).toThrow(message);
  });
});
