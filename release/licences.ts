/**
 * `npm run licences [-- FOLDER]`: ends with 1 if a package that the server brings has a licence that is not on the list, and
 * names it. Of the project in FOLDER, by default this one.
 */
import { createRequire } from 'node:module';
import { makeSbom, type Sbom } from './sbom.ts';

const require = createRequire(import.meta.url);
// It has no types.
const satisfies: (expression: string, allowed: string[]) => boolean = require('spdx-satisfies');

/** They ask to be named, and for nothing that would reach code which only uses the package. */
const ALLOWED = [
  '0BSD',
  'Apache-2.0',
  'BlueOak-1.0.0',
  'BSD-2-Clause',
  'BSD-3-Clause',
  'CC0-1.0',
  'ISC',
  'MIT',
  'MIT-0',
  'Unlicense',
];

/** The packages whose licences are not on the list, each with its licences. Of a choice (`OR`), one is enough. */
export function refusedPackages({ components }: Sbom): string[] {
  return components.flatMap(({ name, version, licenses = [] }) => {
    const expressions = licenses.map((one) =>
      'expression' in one ? one.expression : (one.license.id ?? one.license.name ?? ''),
    );
    if (expressions.length > 0 && expressions.every(isAllowed)) return [];
    return [`${name} ${version}: ${expressions.join(', ') || 'no licence'}`];
  });
}

function isAllowed(expression: string): boolean {
  try {
    return satisfies(expression, ALLOWED);
  } catch {
    // Not in the words of SPDX, such as "SEE LICENSE IN FILE".
    return false;
  }
}

if (import.meta.main) {
  const sbom = makeSbom(process.argv[2] ?? '.');
  const refused = refusedPackages(sbom);
  for (const line of refused) process.stderr.write(`${line} is not among the allowed licences\n`);
  if (refused.length > 0) process.exitCode = 1;
  else process.stdout.write(`The licences of all ${sbom.components.length} packages are allowed\n`);
}
