/** What is wrong with the settings of a service, its network or its auth server. Quotes no token and no secret. */
export class SetupError extends Error {
  override readonly name = 'SetupError';
  /** A sentence for each problem: what is wrong, and what to do. */
  readonly problems: string[];

  constructor(problems: string[], cause?: unknown) {
    super(problems.join('\n'), cause === undefined ? undefined : { cause });
    this.problems = problems;
  }
}

/** One problem. */
export class SetupFault extends SetupError {
  /** Warnings are limited for each kind by itself, so that one problem does not hide another. There are few kinds. */
  readonly kind: string;

  constructor(kind: string, problem: string, cause?: unknown) {
    super([problem], cause);
    this.kind = kind;
  }
}

/**
 * Waits for all checks.
 * @throws SetupError with the problems of all of them, each once; any other error unchanged
 */
export async function runChecks(checks: Promise<unknown>[]): Promise<void> {
  const results = await Promise.allSettled(checks);
  const errors = results.flatMap((result): unknown[] =>
    result.status === 'rejected' ? [result.reason] : [],
  );
  const problems = errors.flatMap((error) => {
    if (error instanceof SetupError) return error.problems;
    throw error;
  });
  if (problems.length > 0) throw new SetupError([...new Set(problems)]);
}

/** For a log: nothing that could break its lines, and nothing long. */
export function printable(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, '?').slice(0, 200);
}
