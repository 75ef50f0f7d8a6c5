import { readFileSync } from 'node:fs';
import t from 'tap';
import { generatedFiles } from '../../docs/generate.ts';
import { ProblemSchema } from '../../src/http/problem.ts';
import { namesIn, readPage } from './pages.ts';

for (const [path, text] of Object.entries(generatedFiles)) {
  t.test(`${path} is what \`npm run docs\` writes`, async (t) => {
    t.equal(readFileSync(path, 'utf8'), text, 'run `npm run docs`');
  });
}

t.test('every error code that a client can get is explained, in the order of the table', async (t) => {
  const { enum: codes } = ProblemSchema.properties.code as unknown as { enum: string[] };
  t.same(namesIn(readPage('docs/errors.md')), codes);
});
