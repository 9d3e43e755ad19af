import { describe, expect, test } from 'vitest';
import { Latencies, paced } from '../../bench/histogram.ts';

describe('latencies', () => {
  test('percentiles within three figures', () => {
    const latencies = new Latencies();
    for (let i = 1; i <= 10_000; i++) latencies.record(i / 10);
    expect(latencies.at(0.5) / 500).toBeCloseTo(1, 2);
    expect(latencies.at(0.99) / 990).toBeCloseTo(1, 2);
    expect(latencies.points.at(-1)![0]).toBe(0.9999); // ten thousand latencies say nothing about 0.99999
  });

  test('of none are 0', () => {
    expect(new Latencies().percentiles).toEqual({ p50: 0, p99: 0, p999: 0 });
  });
});

describe('paced load', () => {
  test('makes each call once, in order', async () => {
    const made: number[] = [];
    const { latencies } = await paced(10_000, 0.02, async (i) => made.push(i));
    expect(made).toEqual(Array.from({ length: 200 }, (_, i) => i));
    expect(latencies.count).toBe(200);
  });

  test('a stall counts against every call that was due meanwhile, not against one', async () => {
    const { latencies } = await paced(1000, 0.3, async (i) => {
      const end = performance.now() + (i === 0 ? 200 : 0);
      while (performance.now() < end);
    });
    // 200 of 300 were due during the stall, evenly: half of those waited for 100 ms and more.
    expect(latencies.at(0.7)).toBeGreaterThan(100_000);
  });

  test('what a call rejects with, it rejects with', async () => {
    await expect(paced(1000, 0.01, () => Promise.reject(new Error('no')))).rejects.toThrow('no');
  });
});
