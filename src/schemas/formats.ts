// Texts that are surely of a format of JSON Schema. No validator of formats: what is not listed may be of it, or not.

const texts: Readonly<Record<string, readonly string[]>> = {
  'date-time': ['2026-01-01T00:00:00Z', '2024-02-29T23:59:59.999Z'],
  date: ['2026-01-01', '2024-02-29'],
  time: ['00:00:00Z', '23:59:59Z', '00:00:00', '23:59:59'],
  duration: ['P1D', 'PT1H30M'],
  email: ['a@example.com', 'first.last@mail.example.org'],
  'idn-email': ['a@example.com'],
  hostname: ['example.com', 'localhost'],
  'idn-hostname': ['example.com'],
  ipv4: ['127.0.0.1', '255.255.255.255'],
  ipv6: ['::1', '2001:db8::ff00:42:8329'],
  uri: ['https://example.com/', 'https://example.com:8080/a/b?c=d#e'],
  'uri-reference': ['https://example.com/', 'https://example.com:8080/a/b?c=d#e'],
  iri: ['https://example.com/'],
  'iri-reference': ['https://example.com/'],
  uuid: [
    '00000000-0000-4000-8000-000000000000',
    'f81d4fae-7dec-41d0-a765-00a0c91e6bf6',
    '01890a5d-ac96-774b-bcce-b302099a8057',
  ],
  regex: ['^a$'],
  'json-pointer': ['', '/a/0'],
  base64: ['', 'aGVsbG8='],
  base64url: ['', 'aGVsbG8'],
  cuid: ['cjld2cjxh0000qzrmn831i7rn'],
  cuid2: ['tz4a98xxat96iws9zmbrgj3a'],
  ulid: ['01ARZ3NDEKTSV4RRFFQ69G5FAV'],
  nanoid: ['V1StGXR8_Z5jdHi6B-myT'],
  cidrv4: ['10.0.0.0/8'],
  cidrv6: ['2001:db8::/32'],
  e164: ['+14155552671'],
};

const byFormat: ReadonlyMap<unknown, readonly string[]> = new Map(Object.entries(texts));

export const textsOfFormat = (format: unknown): readonly string[] => byFormat.get(format) ?? [];

export const isOfFormat = (text: string, format: unknown): boolean => textsOfFormat(format).includes(text);
