// The auditor audited: what is whole passes, and each kind of damage, planted, is found and called by its name.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { audit, type Findings, faultsIn, type Held, type Kind, kinds, survivesKill, type Told } from './audit.ts';

/** What a service told and holds that nothing has happened to: commands of 1 to 3 events on a few aggregates. */
function life(commands: number): { told: Told[]; held: Held[] } {
  const told: Told[] = [];
  const held: Held[] = [];
  const versions = new Map<string, number>();
  for (let i = 0; i < commands; i++) {
    const [command, aggregateId, count] = [`c${i}`, `a${i % 4}`, 1 + (i % 3)];
    told.push({ kind: 'sent', command, events: count });
    const events: Held[] = [];
    for (let e = 0; e < count; e++) {
      const version = (versions.get(aggregateId) ?? 0) + 1;
      versions.set(aggregateId, version);
      const position = held.length + events.length + 1;
      const content = `{"at":${position}}`;
      events.push({
        id: `e${position}`,
        position,
        aggregateType: 'call',
        aggregateId,
        version,
        type: 'Added',
        command,
        commandEvents: count,
        content,
        about: `{"metadata":{"commandId":"${command}"}}`,
      });
    }
    held.push(...events);
    const ack = (['raised', 'written', 'synced', 'stored'] as const)[i % 4]!;
    const refs = events.map(({ id, version }) => ({ id, version }));
    const { version } = events.at(-1)!;
    told.push({ kind: 'acknowledged', command, ack, aggregateType: 'call', aggregateId, version, events: refs });
    const { id } = events[0]!;
    if (i % 5 === 0) told.push({ kind: 'heard', aggregateType: 'call', aggregateId, version: version - count + 1, id });
  }
  told.push({ kind: 'sent', command: 'refused', events: 1 }, { kind: 'refused', command: 'refused' });
  return { told, held };
}

const auditOf = (told: Told[], held: Held[], copy: Held[] = held, repeats = false): Promise<Findings> =>
  audit(told, [
    { name: 'log', events: held, bears: survivesKill },
    { name: 'copy', events: copy, bears: ['stored'], repeats },
  ]);

const found = (findings: Findings): Kind[] => kinds.filter((kind) => findings[kind].length > 0);

test('what is whole passes, in every place', async () => {
  const { told, held } = life(40);
  const findings = await auditOf(told, held);
  expect(found(findings)).toEqual([]);
  expect(findings).toMatchObject({ acknowledged: 40, events: held.length });
});

test('what was only raised may be lost, as a whole', async () => {
  const { told, held } = life(41); // the last one is raised only, and heard by nobody
  const lost = held.filter(({ command }) => command !== 'c40');
  expect(held.length - lost.length).toBeGreaterThan(0);
  const unheard = told.filter(
    (line) => line.kind !== 'heard' || !held.some((e) => e.id === line.id && !lost.includes(e)),
  );
  expect(found(await auditOf(unheard, lost))).toEqual([]);
});

test('a handler may see an event again; a store may not', async () => {
  const { told, held } = life(20);
  const again = [...held.slice(0, 10), ...held.slice(5)];
  expect(found(await auditOf(told, held, again, true))).toEqual([]);
  expect(found(await auditOf(told, held, again))).toEqual(['duplicated']);
});

test('messages: each is carried out once; one missing, one too many, one without its sender are found', async () => {
  const { held } = life(4);
  const sender = { ...held[0]!, sends: 2 };
  const message = (id: string, version: number, cause: string): Held => ({
    ...{ id, version, cause, position: held.length + version, aggregateType: 'call', aggregateId: 't' },
    ...{ type: 'Added', content: '{}' },
  });
  const settled = (...messages: Held[]): Promise<Findings> => {
    const events = [sender, ...held.slice(1), ...messages];
    return audit([], [{ name: 'log', events, bears: [], isSettled: true }]);
  };
  const [one, two] = [message('m1', 1, sender.id), message('m2', 2, sender.id)];
  expect(found(await settled(one, two))).toEqual([]);
  expect(found(await settled(one))).toEqual(['lost']);
  expect(found(await settled(one, two, message('m3', 3, sender.id)))).toEqual(['duplicated']);
  expect(found(await settled(one, two, message('m3', 3, 'nobody')))).toEqual(['invented']);
});

describe('each kind of damage, planted anywhere, is found', () => {
  const withoutCommand = (held: Held[], at: number): Held[] => held.filter((e) => e.command !== held[at]!.command);
  const swapped = (held: Held[], at: number): Held[] => {
    const other = held.findIndex((e, i) => i > at && e.aggregateId === held[at]!.aggregateId);
    return held.map((e, i) => (i === at ? held[other]! : i === other ? held[at]! : e));
  };
  const damages: { name: string; kind: Kind; damage: (held: Held[], at: number) => Held[] }[] = [
    { name: 'a command is missing', kind: 'lost', damage: withoutCommand },
    { name: 'a command is missing in the middle', kind: 'gapped', damage: withoutCommand },
    { name: 'an event is there twice', kind: 'duplicated', damage: (held, at) => held.toSpliced(at, 0, held[at]!) },
    {
      name: 'a version is there twice',
      kind: 'duplicated',
      damage: (held, at) => held.toSpliced(at + 1, 0, { ...held[at]!, id: 'other' }),
    },
    {
      name: 'a command was carried out twice',
      kind: 'duplicated',
      damage: (held, at) => [
        ...held,
        { ...held[at]!, id: 'again', version: held.filter((e) => e.aggregateId === held[at]!.aggregateId).length + 1 },
      ],
    },
    { name: 'two events have changed places', kind: 'reordered', damage: swapped },
    {
      name: 'part of a command is missing',
      kind: 'torn',
      damage: (held, at) => {
        const many = held.findIndex((e, i) => i >= at && e.commandEvents! > 1);
        return held.toSpliced(many, 1);
      },
    },
    {
      name: 'an event that nobody sent',
      kind: 'invented',
      damage: (held, at) => held.map((e, i) => (i === at ? { ...e, command: 'nobody' } : e)),
    },
    {
      name: 'an event of a command that was refused',
      kind: 'invented',
      damage: (held, at) => held.map((e, i) => (i === at ? { ...e, command: 'refused' } : e)),
    },
    {
      name: 'another event under a known id',
      kind: 'invented',
      damage: (held, at) => held.map((e, i) => (i === at ? { ...e, aggregateId: 'b' } : e)),
    },
  ];
  test.each(damages)('in the log: $name ($kind)', ({ kind, damage }) =>
    fc.assert(
      fc.asyncProperty(fc.nat(39), async (at) => {
        const { told, held } = life(60);
        // Everything was acknowledged at a level that the log must bear out, so that every loss is one.
        for (const line of told) if (line.kind === 'acknowledged') line.ack = 'written';
        expect(found(await auditOf(told, damage(held, at), []))).toContain(kind);
      }),
    ),
  );
  test.each(damages)('in a copy: $name ($kind)', ({ kind, damage }) =>
    fc.assert(
      fc.asyncProperty(fc.nat(39), async (at) => {
        const { told, held } = life(60);
        for (const line of told) if (line.kind === 'acknowledged') line.ack = 'stored';
        expect(found(await auditOf(told, held, damage(held, at)))).toContain(kind);
      }),
    ),
  );
  test('in a copy: a payload that differs, or an event that the log has lost (invented)', async () => {
    const { told, held } = life(20);
    const altered = held.map((e, i) => (i === 7 ? { ...e, content: '{}' } : i === 8 ? { ...e, about: '{}' } : e));
    expect(found(await auditOf(told, held, altered))).toEqual(['invented']);
    const shorter = held.filter(({ command }) => command !== 'c19' && command !== 'c18');
    expect(found(await auditOf([], shorter, held))).toEqual(['invented']);
    expect(faultsIn(await auditOf([], held, shorter))).toBe(0);
  });
});
