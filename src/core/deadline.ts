/**
 * Waits for `work`, at most `deadlineMs`. The work itself goes on after the deadline, unless `late` stops it.
 * @param late called at the deadline; makes the error to reject with
 */
export async function within<T>(work: Promise<T>, deadlineMs: number, late: () => Error): Promise<T> {
  const { promise: deadline, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(late()), deadlineMs);
  return Promise.race([work, deadline]).finally(() => clearTimeout(timer));
}
