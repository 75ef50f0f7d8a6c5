import { AuthError } from './auth-error.ts';

/** The parts of a browser that are used here: `globalThis` has them, and tests pass their own. */
export type Page = Pick<
  typeof globalThis,
  'fetch' | 'Request' | 'setTimeout' | 'clearTimeout' | 'performance' | 'Date' | 'BroadcastChannel'
> & {
  location: { origin: string };
  addEventListener(type: string, listener: (event: { persisted?: boolean }) => unknown): void;
};

const ignore = () => undefined;

/** Where a server renders pages there is no user: nothing is asked, nothing is started, and every call fails. */
const NO_PAGE = {
  ...{ Request, Date, performance },
  fetch: () => Promise.reject(new AuthError(0)),
  BroadcastChannel: class {},
  location: { origin: 'https://no-page.invalid' },
  ...{ setTimeout: ignore, clearTimeout: ignore, addEventListener: ignore },
} as unknown as Page;

/** The browser that this runs in. A server has no location. */
export function currentPage(): Page {
  const here = globalThis as unknown as Page;
  return here.location ? here : NO_PAGE;
}
