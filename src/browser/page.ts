/** The little of a browser that is used here: `globalThis` has it, and tests bring one of their own. */
export type Page = Pick<
  typeof globalThis,
  'fetch' | 'Request' | 'setTimeout' | 'clearTimeout' | 'performance' | 'Date' | 'BroadcastChannel'
> & {
  location: { origin: string };
  addEventListener(type: string, listener: (event: { persisted?: boolean }) => unknown): void;
};
