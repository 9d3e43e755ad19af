// Line plots on logarithmic axes, as SVG that reads on a light and on a dark page: a card of its own, no script, no font to
// be fetched. Each line is named where it ends.

interface Line {
  label: string;
  points: readonly (readonly [x: number, y: number])[];
  /** Drawn stronger than the others. */
  strong?: boolean;
}

export interface Tick {
  at: number;
  text: string;
}

export interface Plot {
  title: string;
  /** What it was measured on. */
  subtitle: string;
  xTitle: string;
  yTitle: string;
  xTicks: readonly Tick[];
  /** How a value of the y axis reads. */
  yText: (value: number) => string;
  lines: readonly Line[];
}

const width = 960;
const height = 500;
const area = { left: 84, right: 690, top: 106, bottom: 430 };
const colours = [
  '#0b6bcb',
  '#d9480f',
  '#2b8a3e',
  '#862e9c',
  '#c2255c',
  '#0c8599',
  '#5c940d',
  '#495057',
  '#e67700',
  '#a61e4d',
];
const ink = '#1f2933';
const faint = '#6b7785';
const lineGap = 17;

const escaped = (text: string): string => text.replace(/&/g, '&amp;').replace(/</g, '&lt;');
const round = (value: number): string => value.toFixed(1);

/** Powers of ten, and 2 and 5 times each where the axis is short. */
function valueTicks(low: number, high: number): number[] {
  const steps = high / low > 300 ? [1] : [1, 2, 5];
  const ticks: number[] = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++) {
    for (const step of steps) ticks.push(step * 10 ** power);
  }
  const from = Math.max(
    0,
    ticks.findLastIndex((tick) => tick <= low * 1.0001),
  );
  const to = ticks.findIndex((tick) => tick >= high * 0.9999);
  return ticks.slice(from, to + 1);
}

function scale(low: number, high: number, from: number, to: number): (value: number) => number {
  const [first, last] = [Math.log(low), Math.log(high)];
  return (value) => from + ((Math.log(value) - first) / (last - first || 1)) * (to - from);
}

/** Where the names go: beside the lines' ends, pushed apart so that none covers another. */
function places(ends: readonly number[]): number[] {
  const order = ends.map((y, i) => ({ y, i })).sort((a, b) => a.y - b.y);
  for (const [at, place] of order.entries()) {
    if (at > 0) place.y = Math.max(place.y, order[at - 1]!.y + lineGap);
  }
  const over = Math.max(0, (order.at(-1)?.y ?? 0) - area.bottom);
  for (let at = order.length - 1; at >= 0; at--) {
    const below = order[at + 1];
    const place = order[at]!;
    if (at === order.length - 1) place.y -= over;
    else place.y = Math.min(place.y, below!.y - lineGap);
  }
  const placed: number[] = [];
  for (const { y, i } of order) placed[i] = y;
  return placed;
}

export function plot({ title, subtitle, xTitle, yTitle, xTicks, yText, lines }: Plot): string {
  const values = lines.flatMap(({ points }) => points.map(([, y]) => y)).filter((value) => value > 0);
  const ticks = valueTicks(Math.min(...values), Math.max(...values));
  const x = scale(xTicks[0]!.at, xTicks.at(-1)!.at, area.left, area.right);
  const y = scale(ticks[0]!, ticks.at(-1)!, area.bottom, area.top);
  const text = (words: string, at: [number, number], style = '', anchor = 'start'): string =>
    `<text x="${round(at[0])}" y="${round(at[1])}" text-anchor="${anchor}"${style && ` ${style}`}>${escaped(words)}</text>`;
  const rule = (a: [number, number], b: [number, number], colour: string): string =>
    `<line x1="${round(a[0])}" y1="${round(a[1])}" x2="${round(b[0])}" y2="${round(b[1])}" stroke="${colour}"/>`;
  const names = places(lines.map(({ points }) => y(points.at(-1)![1])));
  const parts = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" font-family="system-ui, 'Segoe UI', 'DejaVu Sans', sans-serif" font-size="13" fill="${ink}" role="img" aria-label="${escaped(title)}">`,
    `<rect x="0.5" y="0.5" width="${width - 1}" height="${height - 1}" rx="10" fill="#ffffff" stroke="#d9dee4"/>`,
    text(title, [24, 34], 'font-size="19" font-weight="600"'),
    text(subtitle, [24, 56], `fill="${faint}" font-size="12"`),
    ...ticks.flatMap((tick) => [
      rule([area.left, y(tick)], [area.right, y(tick)], '#e8ecf0'),
      text(yText(tick), [area.left - 10, y(tick) + 4], `fill="${faint}"`, 'end'),
    ]),
    ...xTicks.flatMap(({ at, text: words }) => [
      rule([x(at), area.bottom], [x(at), area.bottom + 5], '#aab4bf'),
      text(words, [x(at), area.bottom + 22], `fill="${faint}"`, 'middle'),
    ]),
    rule([area.left, area.bottom], [area.right, area.bottom], '#aab4bf'),
    text(xTitle, [(area.left + area.right) / 2, area.bottom + 46], '', 'middle'),
    text(yTitle, [24, area.top - 12], `fill="${faint}" font-size="12"`),
  ];
  for (const [i, { label, points, strong }] of lines.entries()) {
    const colour = colours[i % colours.length]!;
    const path = points.map(([px, py]) => `${round(x(px))},${round(y(py))}`);
    const [endX, endY] = [x(points.at(-1)![0]), y(points.at(-1)![1])];
    parts.push(
      `<polyline points="${path.join(' ')}" fill="none" stroke="${colour}" stroke-width="${strong ? 3 : 1.7}" stroke-linejoin="round"/>`,
      ...points.map(
        ([px, py]) => `<circle cx="${round(x(px))}" cy="${round(y(py))}" r="${strong ? 3 : 2.2}" fill="${colour}"/>`,
      ),
      `<polyline points="${round(endX + 5)},${round(endY)} ${round(area.right + 12)},${round(names[i]!)} ${round(area.right + 18)},${round(names[i]!)}" fill="none" stroke="${colour}" stroke-opacity="0.45"/>`,
      text(label, [area.right + 22, names[i]! + 4], `fill="${colour}"${strong ? ' font-weight="600"' : ''}`),
    );
  }
  return `${parts.join('\n')}\n</svg>\n`;
}
