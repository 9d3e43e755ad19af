// A command that waits for the test: until there is a file.
import { existsSync } from 'node:fs';

export async function fileAt(path: string): Promise<void> {
  while (!existsSync(path)) await new Promise((resolve) => setTimeout(resolve, 10));
}
