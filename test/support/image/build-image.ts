import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, lstatSync, mkdirSync, readFileSync } from 'node:fs';
import { basename, dirname, join, posix } from 'node:path';
import { makeBaseImage, NPM_CACHE } from './base-image.ts';
import { type Dockerfile, expand, readDockerfile, type Stage, type Step } from './dockerfile.ts';
import { contextFiles, parseIgnore } from './dockerignore.ts';
import { runInside } from './sandbox.ts';

/** A built stage. */
export type Image = {
  root: string;
  workdir: string;
  /** UID:GID */
  user: string;
  env: Record<string, string>;
  labels: Record<string, string>;
  entrypoint: string[];
  command: string[];
  healthCheck: string[];
  stopSignal: string;
  volumes: string[];
  ports: string[];
};

/** What a step has added to its image. */
export type StepSize = { stage: string; step: string; bytes: number };

type Build = {
  /** The files that the build may copy, as a folder. */
  context: string;
  globals: Record<string, string>;
  images: Map<string, Image>;
};

/** While one stage is built. */
type StageBuild = Build & { image: Image; args: Record<string, string> };

/**
 * Does what `docker build` does with the Dockerfile and the .dockerignore of the folder, for all stages: its very COPY and RUN
 * steps, in folders of their own below `scratch`. The base images are stand-ins, see `makeBaseImage`.
 * @throws Error for a step that fails, and for an instruction or a flag that is not known here
 */
export async function buildImages(
  folder: string,
  scratch: string,
): Promise<{ images: Map<string, Image>; sizes: StepSize[] }> {
  const dockerfile = readDockerfile(join(folder, 'Dockerfile'));
  const build = { context: makeContext(folder, scratch), globals: globalsOf(dockerfile), images: new Map() };
  const sizes: StepSize[] = [];
  for (const stage of dockerfile.stages) {
    const image = await beginStage(stage, build, join(scratch, stage.name));
    build.images.set(stage.name, image);
    const args = {};
    let size = sizeOf(image.root);
    for (const step of stage.steps) {
      const before = size;
      await runStep(step, { ...build, image, args });
      if (step.keyword !== 'COPY' && step.keyword !== 'RUN') continue;
      size = sizeOf(image.root);
      sizes.push({ stage: stage.name, step: `${step.keyword} ${step.text}`, bytes: size - before });
    }
  }
  return { images: build.images, sizes };
}

function makeContext(folder: string, scratch: string): string {
  const context = join(scratch, '.context');
  const rules = parseIgnore(readFileSync(join(folder, '.dockerignore'), 'utf8'));
  for (const path of contextFiles(folder, rules))
    cpSync(join(folder, path), join(context, path), { verbatimSymlinks: true });
  return context;
}

function globalsOf({ args }: Dockerfile): Record<string, string> {
  return Object.fromEntries(args.flatMap(({ pairs }) => pairs.map(({ name, value }) => [name, value ?? ''])));
}

async function beginStage({ from }: Stage, build: Build, root: string): Promise<Image> {
  const name = expand(from, build.globals);
  const parent = build.images.get(name);
  if (parent !== undefined) {
    // Owners too: a parent may have files of other users.
    execFileSync('cp', ['-a', parent.root, root]);
    return { ...structuredClone(parent), root };
  }
  if (!/^[a-z]+:\d+\.\d+\.\d+-[\w-]+$/.test(name)) throw new Error(`${name} is no exact tag of a base image`);
  const { env, entrypoint } = makeBaseImage(root);
  const nothing = { labels: {}, command: [], healthCheck: [], volumes: [], ports: [] };
  return { root, workdir: '/', user: '0:0', stopSignal: 'SIGTERM', env, entrypoint, ...nothing };
}

async function runStep(step: Step, build: StageBuild): Promise<void> {
  const instruction = instructions[step.keyword];
  if (instruction === undefined) throw new Error(`${step.keyword} is an instruction that this does not know`);
  await instruction(step, build);
}

const instructions: Record<string, (step: Step, build: StageBuild) => void | Promise<void>> = {
  ARG({ pairs }, { args, globals }) {
    for (const { name, value } of pairs) args[name] = value ?? globals[name] ?? '';
  },
  ENV({ pairs }, build) {
    const known = variablesOf(build);
    for (const { name, value } of pairs) build.image.env[name] = expand(value ?? '', known);
  },
  LABEL({ pairs }, build) {
    const known = variablesOf(build);
    for (const { name, value } of pairs) build.image.labels[name] = expand(value ?? '', known);
  },
  WORKDIR({ text }, { image }) {
    image.workdir = posix.resolve(image.workdir, text);
    mkdirSync(image.root + image.workdir, { recursive: true });
  },
  USER({ text }, { image }) {
    if (!/^\d+:\d+$/.test(text)) throw new Error(`USER ${text}: not two numbers`);
    image.user = text;
  },
  VOLUME({ words }, { image }) {
    for (const path of words) mkdirSync(image.root + path, { recursive: true });
    image.volumes.push(...words);
  },
  EXPOSE({ words }, { image }) {
    image.ports.push(...words);
  },
  STOPSIGNAL({ text }, { image }) {
    image.stopSignal = text;
  },
  HEALTHCHECK({ text }, { image }) {
    image.healthCheck = inJson(text.replace(/^CMD\s+/, ''));
  },
  ENTRYPOINT({ text }, { image }) {
    image.entrypoint = inJson(text);
  },
  CMD({ text }, { image }) {
    image.command = inJson(text);
  },
  COPY: copy,
  RUN: run,
};

function variablesOf({ args, image }: StageBuild): Record<string, string> {
  return { ...args, ...image.env };
}

/** A command in words. One line of text would run under a shell, which gets the signals in place of the program. */
function inJson(text: string): string[] {
  if (!text.startsWith('[')) throw new Error(`"${text}" runs under a shell`);
  return JSON.parse(text);
}

function copy({ flags, words }: Step, { context, images, image }: StageBuild): void {
  const { from, ...others } = Object.fromEntries(flags.map(({ name, value }) => [name, value ?? '']));
  for (const name of Object.keys(others)) throw new Error(`COPY --${name} is not known here`);
  const source = from === undefined ? context : images.get(from)?.root;
  if (source === undefined) throw new Error(`COPY --from=${from}: there is no such stage before this one`);
  const target = posix.resolve(image.workdir, words.at(-1) ?? '');
  const isFolder = words.length > 2 || words.at(-1)?.endsWith('/') === true;
  for (const word of words.slice(0, -1)) {
    const path = join(source, word);
    if (!existsSync(path)) throw new Error(`COPY ${word}: the build does not see it`);
    const into = lstatSync(path).isFile() && isFolder ? posix.join(target, basename(word)) : target;
    copyTree(path, image.root + into);
  }
}

/** As root, so that root owns what it makes. Of a folder it copies what is in it. */
function copyTree(from: string, to: string): void {
  mkdirSync(dirname(to), { recursive: true });
  const isFolder = lstatSync(from).isDirectory();
  if (isFolder) mkdirSync(to, { recursive: true });
  execFileSync('cp', ['-dR', '--preserve=mode,timestamps', isFolder ? `${from}/.` : from, to]);
}

async function run({ flags, text }: Step, build: StageBuild): Promise<void> {
  const { image } = build;
  for (const { name } of flags) throw new Error(`RUN --${name} is not known here`);
  // The folder of the cache is shared with this machine.
  if (text.includes('npm cache')) throw new Error(`RUN ${text}: stages are left behind with their caches`);
  const { code, stdout, stderr } = await runInside({
    root: image.root,
    workdir: image.workdir,
    user: image.user,
    env: { ...variablesOf(build), ...npmSettings() },
    readOnly: false,
    withTools: true,
    volumes: [[npmCache(), NPM_CACHE]],
    command: ['/bin/sh', '-c', text],
  });
  if (code !== 0) throw new Error(`RUN ${text} fails:\n${stdout}${stderr}`);
}

/** How this machine reaches its registry, for what the cache does not have. */
function npmSettings(): Record<string, string> {
  const { NODE_EXTRA_CA_CERTS: certificates } = process.env;
  const { registry, cafile } = npmConfig();
  return {
    HOME: '/root',
    npm_config_cache: NPM_CACHE,
    npm_config_prefer_offline: 'true',
    npm_config_registry: registry,
    ...(cafile !== null && { npm_config_cafile: cafile }),
    ...(certificates !== undefined && { NODE_EXTRA_CA_CERTS: certificates }),
  };
}

/** Exists from the first install on. */
function npmCache(): string {
  const { cache } = npmConfig();
  mkdirSync(cache, { recursive: true });
  return cache;
}

function npmConfig(): { cache: string; registry: string; cafile: string | null } {
  return JSON.parse(execFileSync('npm', ['config', 'list', '--json'], { encoding: 'utf8' }));
}

function sizeOf(root: string): number {
  return Number.parseInt(execFileSync('du', ['-s', '--block-size=1', root], { encoding: 'utf8' }), 10);
}
