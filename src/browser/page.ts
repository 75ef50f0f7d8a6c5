/** The parts of a browser that are used here: `globalThis` has them, and tests pass their own. */
export type Page = Pick<
  typeof globalThis,
  'fetch' | 'Request' | 'setTimeout' | 'clearTimeout' | 'performance' | 'Date' | 'BroadcastChannel'
> & {
  location: { origin: string };
  addEventListener(type: string, listener: (event: { persisted?: boolean }) => unknown): void;
};
