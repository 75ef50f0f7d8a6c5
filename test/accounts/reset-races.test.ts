import { test } from 'tap';
import { raceResets } from '../support/reset-races.ts';

test('of 50 resets at once with one code one wins, whose password holds', async (t) => {
  t.same(await raceResets(t, 5), {
    rounds: 5,
    otherRefusals: 0,
    withoutOneWinner: 0,
    withoutWinnersPassword: 0,
  });
});
