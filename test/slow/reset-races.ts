/**
 * `npm run test:resets`: 1,000 rounds of fifty resets at once with one code, over three replicas. RESET_ROUNDS sets another
 * number of rounds.
 */
import t from 'tap';
import { raceResets } from '../support/reset-races.ts';

const { RESET_ROUNDS = '1000' } = process.env;

t.setTimeout(3_600_000);

t.test(`of 50 resets at once with one code one wins, ${RESET_ROUNDS} times`, async (t) => {
  const rounds = Number(RESET_ROUNDS);
  const startedAt = performance.now();
  const result = await raceResets(t, rounds);
  t.comment(`${JSON.stringify(result)} in ${Math.round((performance.now() - startedAt) / 1000)} s`);
  t.same(result, { rounds, otherRefusals: 0, withoutOneWinner: 0, withoutWinnersPassword: 0 });
});
