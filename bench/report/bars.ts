// Bars on a logarithmic axis, grouped: who does how much, by what it is worth. As SVG, like plot.ts.

interface Bar {
  label: string;
  value: number;
  /** Drawn stronger than the others. */
  strong: boolean;
}

export interface Group {
  title: string;
  bars: readonly Bar[];
}

const width = 960;
const left = 330;
const right = 860;
const rowHeight = 21;
const groupHeight = 34;
const top = 76;
const escaped = (text: string): string => text.replace(/&/g, '&amp;').replace(/</g, '&lt;');

export function bars(
  title: string,
  subtitle: string,
  groups: readonly Group[],
  text: (value: number) => string,
): string {
  const values = groups.flatMap((group) => group.bars.map(({ value }) => value)).filter((value) => value > 0);
  const low = 10 ** Math.floor(Math.log10(Math.min(...values)));
  const high = 10 ** Math.ceil(Math.log10(Math.max(...values)));
  const length = (value: number): number => (Math.log(value / low) / Math.log(high / low || 10)) * (right - left);
  const height = top + groups.reduce((sum, group) => sum + groupHeight + group.bars.length * rowHeight, 0) + 28;
  const parts = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" font-family="system-ui, 'Segoe UI', 'DejaVu Sans', sans-serif" font-size="13" fill="#1f2933" role="img" aria-label="${escaped(title)}">`,
    `<rect x="0.5" y="0.5" width="${width - 1}" height="${height - 1}" rx="10" fill="#ffffff" stroke="#d9dee4"/>`,
    `<text x="24" y="34" font-size="19" font-weight="600">${escaped(title)}</text>`,
    `<text x="24" y="56" fill="#6b7785" font-size="12">${escaped(subtitle)}</text>`,
  ];
  for (let tick = low; tick <= high; tick *= 10) {
    const x = (left + length(tick)).toFixed(1);
    parts.push(`<line x1="${x}" y1="${top}" x2="${x}" y2="${height - 30}" stroke="#e8ecf0"/>`);
    parts.push(
      `<text x="${x}" y="${height - 12}" text-anchor="middle" fill="#6b7785" font-size="12">${text(tick)}</text>`,
    );
  }
  let y = top;
  for (const group of groups) {
    y += groupHeight;
    parts.push(`<text x="24" y="${y - 10}" font-weight="600">${escaped(group.title)}</text>`);
    for (const { label, value, strong } of group.bars) {
      const end = Math.max(2, length(value));
      const colour = strong ? '#0b6bcb' : '#9aa7b4';
      const weight = strong ? ' font-weight="600"' : '';
      parts.push(
        `<text x="${left - 10}" y="${y + 12}" text-anchor="end"${weight}>${escaped(label)}</text>`,
        `<rect x="${left}" y="${y + 1}" width="${end.toFixed(1)}" height="${rowHeight - 6}" rx="2" fill="${colour}"/>`,
        `<text x="${(left + end + 7).toFixed(1)}" y="${y + 12}" font-size="12" fill="#6b7785"${weight}>${text(value)}</text>`,
      );
      y += rowHeight;
    }
  }
  return `${parts.join('\n')}\n</svg>\n`;
}
