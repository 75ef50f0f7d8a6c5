import type { Test } from 'tap';
import { makePassword, openPasswords, quickHash, visit } from './passwords.ts';

const REPLICAS = 3;
const CONTENDERS = 50;

export type RaceResult = {
  rounds: number;
  /** Resets that were refused with anything but `invalid_code`. */
  otherRefusals: number;
  /** Rounds without exactly one winner. */
  withoutOneWinner: number;
  /** Rounds after which the password was not the winner's, or another session than the winner's was open. */
  withoutWinnersPassword: number;
};

/**
 * Resets with one code at the same time, fifty over three replicas on one PostgreSQL, each with another password; again and
 * again.
 */
export async function raceResets(t: Test, rounds: number): Promise<RaceResult> {
  const world = await openPasswords(t);
  const replicas = Array.from({ length: REPLICAS }, () => world.createReplica().passwords);
  const owner = await world.addAccount();
  const result = { rounds: 0, otherRefusals: 0, withoutOneWinner: 0, withoutWinnersPassword: 0 };

  async function race(): Promise<void> {
    const { link } = await world.issue(owner, 'reset_password');
    const passwords = Array.from({ length: CONTENDERS }, makePassword);
    const outcomes = await Promise.allSettled(
      passwords.map((password, at) =>
        replicas[at % REPLICAS]?.reset({ presented: { link }, password }, visit()),
      ),
    );
    result.rounds += 1;
    const winners = passwords.filter((_, at) => outcomes[at]?.status === 'fulfilled');
    if (winners.length !== 1) result.withoutOneWinner += 1;
    const refusals = outcomes.filter((outcome) => outcome.status === 'rejected');
    result.otherRefusals += refusals.filter(({ reason }) => reason.code !== 'invalid_code').length;
    const { passwordHash } = await world.rowOf(owner.id);
    const { sessions } = await world.sessions.list(owner.id, { limit: 9 });
    if (passwordHash !== quickHash(String(winners[0])) || sessions.length !== 1)
      result.withoutWinnersPassword += 1;
  }

  for (let round = 0; round < rounds; round += 1) await race();
  return result;
}
