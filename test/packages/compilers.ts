import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import type { Test } from 'tap';
import { runIn } from './packed.ts';

const require = createRequire(import.meta.url);

const compilers = ['typescript-5.4', 'typescript-6.0', 'typescript'].map((name) => {
  const home = dirname(require.resolve(`${name}/package.json`));
  const version = String(JSON.parse(readFileSync(join(home, 'package.json'), 'utf8')).version);
  // The file that `tsc` runs.
  return { version, major: Number.parseInt(version, 10), tsc: join(home, 'lib/tsc.js') };
});
type Compiler = (typeof compilers)[number];

type Kind = {
  name: string;
  type: 'module' | 'commonjs';
  options(compiler: Compiler): object;
  /** The last compiler that has it; today's by default. */
  last?: number;
};

/** How a project may find packages. */
const kindsOfProject: Kind[] = [
  { name: 'nodenext, ES modules', type: 'module', options: () => ({ module: 'nodenext' }) },
  { name: 'nodenext, CommonJS', type: 'commonjs', options: () => ({ module: 'nodenext' }) },
  {
    name: 'bundler',
    type: 'module',
    options: () => ({ module: 'esnext', moduleResolution: 'bundler' }),
  },
  {
    name: 'node10',
    type: 'commonjs',
    options: ({ major }) => ({
      module: 'commonjs',
      moduleResolution: 'node10',
      ...(major === 6 && { ignoreDeprecations: '6.0' }),
    }),
    last: 6,
  },
];

/** For code whose types other packages bring, and cost seconds: our part of it is the same in all kinds. */
export const strictestKind = kindsOfProject.filter(({ name }) => name === 'nodenext, CommonJS');

/**
 * Checks code in a project that has our package installed, in every kind of project: with the oldest compiler that is
 * supported, and with the newest one that knows the kind.
 * @param extra options
 * @param kinds the kinds to try
 */
export async function checkTypes(
  t: Test,
  folder: string,
  code: string,
  extra: object,
  kinds = kindsOfProject,
): Promise<void> {
  writeFileSync(join(folder, 'code.ts'), code);
  for (const kind of kinds) {
    writeFileSync(join(folder, 'package.json'), JSON.stringify({ type: kind.type }));
    const known = compilers.filter(({ major }) => major <= (kind.last ?? major));
    for (const compiler of [known.at(0), known.at(-1)].filter((one) => one !== undefined)) {
      const compilerOptions = { ...common, ...kind.options(compiler), ...extra };
      writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['code.ts'] }));
      const errors = await runIn(folder, process.execPath, compiler.tsc, '-p', '.').then(
        () => '',
        ({ message }) => message,
      );
      t.equal(errors, '', `TypeScript ${compiler.version}, ${kind.name}`);
    }
  }
}

const common = { strict: true, noEmit: true, target: 'es2022', esModuleInterop: true, types: [] };
