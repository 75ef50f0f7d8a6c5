/** `npm run docs`: writes the pages that are made from the code. A test fails when one of them is out of date. */
import { writeFileSync } from 'node:fs';
import { currentCapacityPage } from '../bench/capacity-page.ts';
import { settingsEnvExample, settingsMarkdown } from '../src/config/config-docs.ts';
import { errorsMarkdown } from '../src/http/problem-docs.ts';

/** Each generated file, and its text. */
export const generatedFiles: Record<string, string> = {
  'docs/settings.md': settingsMarkdown(),
  'docs/errors.md': errorsMarkdown(),
  '.env.example': settingsEnvExample(),
  // Text of our own, with tables of measured figures.
  'docs/capacity.md': currentCapacityPage(),
};

if (import.meta.main) {
  for (const [path, text] of Object.entries(generatedFiles)) writeFileSync(path, text);
}
