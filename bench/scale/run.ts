// npm run bench -- --scale: every scale run, one process each, kept for the report.
import { describe, machine } from '../machine.ts';
import type { Run } from '../promise.ts';
import { forget, keep, kept } from '../results.ts';
import { runScale, scales } from '../suites.ts';
import { printScale, type Scale } from './scale.ts';

export const keptAs = (name: string): string => `scale-${name}`;

export async function measureScales({ names, size, resume }: Run): Promise<void> {
  const chosen = names.length > 0 ? names : scales;
  const on = machine();
  if (size === 'full') console.log(`${describe(on).join('\n')}\n`);
  if (!resume && size === 'full') for (const name of chosen) forget(keptAs(name));
  for (const [i, name] of chosen.entries()) {
    const before = resume ? kept<Scale>(keptAs(name)) : undefined;
    process.stderr.write(`${i + 1}/${chosen.length} scale ${name}${before ? ` (of ${before.at})` : ''} …\n`);
    const scale = before ?? (await runScale(name, size === 'smoke' ? 'smoke' : 'full'));
    if (!before && size === 'full') keep(keptAs(name), scale, on);
    if (size !== 'smoke') printScale(scale);
  }
  if (size === 'smoke') console.log(`bench: ${chosen.length} scale runs in smoke size; their figures mean nothing`);
}
