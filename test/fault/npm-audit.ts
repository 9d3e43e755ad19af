// What the registry knows of weaknesses in the packages that are installed with us. No answer is no "nothing known".
import { execFile } from 'node:child_process';

const answerWithinMs = 60_000;

/**
 * Each package with a known weakness, with its severity. `env`: more of npm's settings.
 * @throws if the registry gives no answer
 */
export async function npmAudit(env: Readonly<Record<string, string>> = {}): Promise<string[]> {
  const words = ['audit', '--omit=dev', '--json', '--fetch-timeout=20000', '--fetch-retries=1'];
  const options = { timeout: answerWithinMs, maxBuffer: 1 << 26, env: { ...process.env, ...env } };
  const { stdout, stderr } = await new Promise<{ stdout: string; stderr: string }>((resolve) => {
    // Its exit code says the same for a finding and for an error; the answer tells them apart.
    execFile('npm', words, options, (_error, out, err) => resolve({ stdout: out, stderr: err }));
  });
  const answer = parsed(stdout);
  const { vulnerabilities } = answer ?? {};
  if (answer?.metadata === undefined || vulnerabilities === undefined) {
    const why = answer?.message ?? stderr.trim().split('\n')[0] ?? '';
    throw new Error(`npm audit: the registry gives no answer (${why}); without a network say so: --offline 1`);
  }
  return Object.entries(vulnerabilities).map(([name, { severity }]) => `${name} (${severity})`);
}

interface Answer {
  metadata?: object;
  vulnerabilities?: Record<string, { severity: string }>;
  message?: string;
}

function parsed(text: string): Answer | undefined {
  try {
    return JSON.parse(text) as Answer;
  } catch {
    return undefined;
  }
}
