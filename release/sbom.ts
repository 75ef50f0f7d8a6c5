/**
 * `npm run sbom [-- FILE]`: the bill of materials of the server, what `npm install doorward` brings, in the CycloneDX format.
 * Into the FILE, or to the standard output.
 */
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

type Licence = { license: { id?: string; name?: string } } | { expression: string };

/** The parts of a CycloneDX document that are read here. */
export type Sbom = {
  specVersion: string;
  metadata: { component: { name: string; version: string } };
  components: { name: string; version: string; purl: string; scope?: string; licenses?: Licence[] }[];
};

/**
 * The bill of materials of a project. It names the packages for all platforms, those that this one does not need as optional.
 *
 * npm makes it, of a copy without development: beside other dependencies, npm leaves out each package of which one of those
 * depends as well.
 * @param folder of the project, with package.json and package-lock.json
 * @throws Error with npm's output if npm fails
 */
export function makeSbom(folder: string): Sbom {
  const { name, version, description, license, dependencies } = JSON.parse(
    readFileSync(join(folder, 'package.json'), 'utf8'),
  );
  const scratch = mkdtempSync(join(tmpdir(), 'doorward-sbom-'));
  try {
    // npm calls the project by the name of its folder.
    const copy = join(scratch, name);
    mkdirSync(copy);
    writeFileSync(
      join(copy, 'package.json'),
      JSON.stringify({ name, version, description, license, dependencies }),
    );
    copyFileSync(join(folder, 'package-lock.json'), join(copy, 'package-lock.json'));
    npm(copy, 'install', '--package-lock-only', '--ignore-scripts', '--offline');
    return JSON.parse(npm(copy, 'sbom', '--package-lock-only', '--sbom-format', 'cyclonedx'));
  } finally {
    rmSync(scratch, { recursive: true });
  }
}

function npm(cwd: string, ...args: string[]): string {
  return execFileSync('npm', args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

if (import.meta.main) {
  const text = `${JSON.stringify(makeSbom('.'), null, 2)}\n`;
  const [file] = process.argv.slice(2);
  if (file === undefined) process.stdout.write(text);
  else writeFileSync(file, text);
}
