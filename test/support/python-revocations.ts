import { freePort } from './free-port.ts';
import { findOrInstall, listens, start } from './gateway-program.ts';
import { ask, bearer } from './gateway-world.ts';

type Teardown = { teardown(undo: () => unknown): void };

/** What examples/python/revocations.py says of a token, and its last two pauses: of its jitter one has none, the other a half. */
type Verdict = { revoked: boolean; lag: number | null; error: string | null; pauses: number[] };

/** Follows a feed with the example for Python, in a process of its own. @param credentials for `Authorization` */
export async function startPythonFollower(t: Teardown, feedUrl: string, ...credentials: string[]) {
  const binary = await findOrInstall({ name: 'Python 3', binary: 'python3', debianPackage: 'python3' });
  const port = await freePort();
  const args = ['test/support/revocations_service.py', String(port), feedUrl, ...credentials];
  // It must not leave its bytecode in the examples.
  const follower = start(t, binary, args, { PYTHONDONTWRITEBYTECODE: '1' });
  await listens(follower, port);
  return {
    ...follower,
    says: async (token: string): Promise<Verdict> =>
      JSON.parse((await ask(`http://127.0.0.1:${port}/`, { headers: bearer(token) })).body),
  };
}
