import { chmodSync, rmSync } from 'node:fs';
import { request } from 'node:http';
import { text } from 'node:stream/consumers';
import Fastify from 'fastify';
import { AppError, type ErrorCode, type FieldError, PROBLEMS } from '../core/errors.ts';
import type { Log } from '../core/log.ts';
import { sendProblem } from '../http/problem.ts';
import { CommandLineError } from './command-line-error.ts';
import { explainError } from './explain-error.ts';

/** Operators' commands by name. Arguments and answers are plain JSON. */
export type Commands = Record<string, (args: never) => Promise<unknown>>;

/** A batch of imported users is the longest one: some megabytes. */
const LONGEST_CALL_BYTES = 32 * 1024 * 1024;

/**
 * Accepts commands on a Unix socket. Its mode, 0600, decides who may open it: the operator.
 *
 * They run in this process and not on a second connection to its database: PGlite is one session, so a statement from
 * outside in the middle of a transaction would be committed or rolled back with it.
 * @param log of the server, for unexpected errors
 * @returns a function that stops listening
 * @throws Error when the system cannot listen at the path, for example because it is too long (about 100 bytes)
 */
export async function serveCommands(
  path: string,
  commands: Commands,
  log: Log,
): Promise<() => Promise<void>> {
  // What an import holds is judged record by record: one with such a member must not stop all.
  const poisoning = { onProtoPoisoning: 'ignore', onConstructorPoisoning: 'ignore' } as const;
  const app = Fastify({ bodyLimit: LONGEST_CALL_BYTES, ...poisoning });
  app.setErrorHandler((error: Error, call, reply) => sendProblem(forOperator(error, log), call, reply));
  app.setNotFoundHandler(() => {
    throw new AppError('not_found', { detail: 'The server that runs is of another version: restart it.' });
  });
  for (const [name, run] of Object.entries(commands)) {
    app.post(`/${name}`, async (call) => ({ result: await run(call.body as never) }));
  }
  // A socket that is there was left by a killed process: we hold the lock on the folder, so no other server runs.
  rmSync(path, { force: true });
  await app.listen({ path });
  chmodSync(path, 0o600);
  return () => app.close();
}

/** Unlike clients, operators see the cause of an error too, with its stack: it is printed on their terminal. */
function forOperator(error: Error, log: Log): AppError {
  if (error instanceof AppError) return error;
  log.error({ err: error }, 'a command failed');
  return new AppError('internal_error', { detail: explainError(error, process.env), cause: error });
}

/** No socket, one left by a killed process, or a path too long for a server to listen at. */
const NOBODY_LISTENS = ['ENOENT', 'ECONNREFUSED', 'EINVAL', 'ENAMETOOLONG'];

/**
 * Asks the server that listens at `path`.
 * @returns its answer, or null when no server listens
 * @throws AppError with the server's own code and detail; CommandLineError for an answer of another version
 */
export async function callCommand(
  path: string,
  name: string,
  args: object = {},
): Promise<{ result: unknown } | null> {
  const answer = await post(path, `/${name}`, JSON.stringify(args)).catch((error: NodeJS.ErrnoException) => {
    if (NOBODY_LISTENS.includes(String(error.code))) return null;
    throw error;
  });
  if (answer === null || answer.status === 200) return answer && JSON.parse(answer.body);
  throw errorOf(answer);
}

/** The error that the server answered. A server of another version may send codes that are unknown here. */
function errorOf({ status, body }: Answer): AppError | CommandLineError {
  const { code, ...told } = parseProblem(body);
  if (Object.hasOwn(PROBLEMS, String(code))) return new AppError(code as ErrorCode, told);
  const text = told.detail ?? `It answers ${status}, which is unknown here.`;
  return new CommandLineError(`The server that runs is of another version: restart it. ${text}`);
}

type Problem = { code?: unknown; detail?: string; errors?: FieldError[] };

function parseProblem(body: string): Problem {
  try {
    return JSON.parse(body) ?? {};
  } catch {
    // Not a problem document of any version.
    return {};
  }
}

type Answer = { status: number; body: string };

async function post(socketPath: string, path: string, body: string): Promise<Answer> {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  const headers = { 'content-type': 'application/json' };
  // No agent: a connection kept for the next call may have been closed by the server meanwhile.
  const call = request({ socketPath, path, method: 'POST', headers, agent: false }, (response) => {
    text(response).then((answer) => resolve({ status: Number(response.statusCode), body: answer }), reject);
  });
  call.on('error', reject).end(body);
  return promise;
}
