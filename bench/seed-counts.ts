import { createRandom } from './random.ts';

/** Of the number of sessions of a user: most have few, and some very many. */
const SIGMA = 1;

/**
 * How many sessions each user has: log-normal, and `sessions` in all.
 * @param seed the same one gives the same numbers
 */
export function sessionCounts(users: number, sessions: number, seed: number): Uint32Array {
  const draw = createRandom(seed).logNormal(1, SIGMA);
  const weights = Float64Array.from({ length: users }, draw);
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const counts = new Uint32Array(users);
  let [passed, given] = [0, 0];
  for (const [user, weight] of weights.entries()) {
    passed += weight;
    // Rounded in all, and not for each user: otherwise the sum would be another one.
    const until = user === users - 1 ? sessions : Math.round((passed / total) * sessions);
    counts[user] = until - given;
    given = until;
  }
  return counts;
}
