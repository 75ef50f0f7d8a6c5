/** What the programs in our images know: variables, ports, paths and commands. */
import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { promisify } from 'node:util';
import type { FastifyInstance } from 'fastify';
import { Settings, settingNames } from '../../src/config/settings.ts';

const run = promisify(execFile);

/** A container as a manifest or compose has it. */
export type Started = {
  image: string;
  command: string[];
  environment: Record<string, string>;
};

/** Of the OpenTelemetry SDK, which reads them itself. */
const TELEMETRY = [
  'OTEL_SERVICE_NAME',
  'OTEL_RESOURCE_ATTRIBUTES',
  'OTEL_TRACES_SAMPLER',
  'OTEL_TRACES_SAMPLER_ARG',
];
const SERVER_VARIABLES = [
  ...settingNames,
  ...settingNames.filter((name) => Settings.properties[name].secret).map((name) => `${name}_FILE`),
  ...TELEMETRY,
];
const SERVER = 'the server';
/** The nginx of docker-compose.yml. */
const GATEWAY_TEMPLATE = 'examples/gateway/nginx/doorward.conf.template';

/** The variables that a container of ours reads; null if it is a program of others. */
export function variablesOf(container: Started): string[] | null {
  const source = sourceOf(container);
  if (source === null) return null;
  // What an example reads is a word in capitals in it. It may call the command line, which is in the server's image.
  const own =
    source === SERVER ? [] : [...readFileSync(source, 'utf8').matchAll(/\b[A-Z][A-Z\d_]+\b/g)].map(String);
  return nameOf(container) === 'doorward' ? [...SERVER_VARIABLES, ...own] : own;
}

function nameOf({ image }: Started): string | undefined {
  return image.replace(/.*\//, '').split(/[:@]/)[0];
}

/** Which program runs: a file of the examples, the server or its command line, or null for a program of others. */
function sourceOf(container: Started): string | null {
  const example = container.command.find((word) => word.startsWith('examples/'));
  if (example !== undefined) return example;
  const name = nameOf(container);
  if (name === 'doorward-gateway') return GATEWAY_TEMPLATE;
  return name === 'doorward' ? SERVER : null;
}

/** The port that it listens on, by its own default unless a variable says otherwise; null for a program of others. */
export function portOf(container: Started): number | null {
  const source = sourceOf(container);
  if (source === null) return null;
  const { PORT, LISTEN } = container.environment;
  if (source === GATEWAY_TEMPLATE)
    return Number(LISTEN ?? /\bLISTEN=(\d+)/.exec(readFileSync('Dockerfile', 'utf8'))?.[1]);
  if (source === SERVER) return Number(PORT ?? Settings.properties.PORT.fallback);
  return Number(PORT ?? /\bPORT = '(\d+)'/.exec(readFileSync(source, 'utf8'))?.[1]);
}

/** Whether a GET of this path is answered by a route of the program. */
export function hasPath(app: FastifyInstance, container: Started, path: string): boolean {
  const source = sourceOf(container);
  if (source === SERVER) return app.hasRoute({ method: 'GET', url: path });
  const text = source === null ? '' : readFileSync(source, 'utf8');
  // The members' service answers whatever is asked.
  const looksAtPaths = /app\.get\(|\burl\b/.test(text);
  return text.includes(`app.get('${path}'`) || (text.includes('createServer(') && !looksAtPaths);
}

/** What is wrong with a command of our images, if anything: a missing file, or a command that `doorward` has not. */
export async function complaintOf({
  command: [program = '', ...words],
}: Started): Promise<string | undefined> {
  if (program === 'doorward') return complaintOfCommandLine(words);
  if (program !== 'node') return `${program} is not in the image`;
  const [file = '', ...rest] = words;
  if (file === 'src/cli.ts') return complaintOfCommandLine(rest);
  return file === '-e' || existsSync(file) ? undefined : `${file} does not exist`;
}

/** Starting the command line takes a second, so each command is looked up once. */
const helps = new Map<string, Promise<{ stdout: string }>>();

async function complaintOfCommandLine(words: string[]): Promise<string | undefined> {
  const command = words.join(' ');
  const { PATH } = process.env;
  const help =
    helps.get(command) ?? run(process.execPath, ['src/cli.ts', ...words, '--help'], { env: { PATH } });
  helps.set(command, help);
  return (await help).stdout.includes(`Usage: doorward ${command}`) ? undefined : `${command} is no command`;
}
