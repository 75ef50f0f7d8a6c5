import { v7 as uuidv7 } from 'uuid';
import { AppError } from '../core/errors.ts';
import { inParts } from '../core/parts.ts';
import type { Transact, Transaction } from '../db/database.ts';
import type { Guess, GuessLimit } from '../passwords/guess-limit.ts';
import type { CodeStore, OpenCode, StoredCode } from './code-store.ts';
import {
  CODE_LIFE_MS,
  type CodePurpose,
  createLinkCode,
  createTypedCode,
  DEFENCES,
  hashLinkCode,
  hashTypedCode,
  isTypedCode,
} from './one-time-code.ts';

export type { OpenCode };

export type CodeStyle = 'link' | 'code' | 'both';

export type CodeWish = {
  userId: string;
  purpose: CodePurpose;
  /** The canonical address that it goes to. */
  email: string;
  /** SHA-256 of the secret of the browser that asks for it, if that matters when it is used. */
  browserHash?: Buffer | null;
  /** What is to be done with it. */
  context?: Record<string, string>;
  /** How long it is good; that of its purpose if left out. */
  lifeMs?: number;
};

/** The two forms of a new code, which are known only now. Null: not in this style. */
export type IssuedCode = { link: string | null; typed: string | null; goodForMs: number };

/** What somebody presents: the code of a link, or the address and what was typed. */
export type PresentedCode =
  | { link: string }
  | {
      /** Canonical. */
      email: string;
      typed: string;
      /** If it must be a code of this user. */
      userId?: string;
    }
  | {
      /** The user who is signed in: the address is the one that the code went to. */
      userId: string;
      typed: string;
    };

type TypedCode = Exclude<PresentedCode, { link: string }>;

type CodeServiceParts = { store: CodeStore; style: CodeStyle; guesses: GuessLimit; transact: Transact };

/** Wrong codes for typing of one address or user: a new code does not bring new tries. */
const BUDGET = { most: 10, windowMs: 15 * 60_000, underWayMs: 1_000 };

export type CodeService = ReturnType<typeof createCodeService>;

/** Codes that prove that somebody reads a mailbox, and nothing more. */
export function createCodeService({ store, style, guesses, transact }: CodeServiceParts) {
  return {
    /** Makes a code. It is good once the transaction has been committed. */
    async issue(transaction: Transaction, wish: CodeWish): Promise<IssuedCode> {
      const { userId, purpose, email, browserHash = null, context = {} } = wish;
      const id = uuidv7();
      const link = style === 'code' ? null : createLinkCode();
      const typed = style === 'link' ? null : createTypedCode();
      const linkHash = link === null ? null : hashLinkCode(link);
      const typedHash = typed === null ? null : hashTypedCode(id, typed);
      const lifeMs = wish.lifeMs ?? CODE_LIFE_MS[purpose];
      const code = { id, userId, purpose, email, linkHash, typedHash, browserHash, context, lifeMs };
      await store.insert(transaction, code);
      return { link, typed, goodForMs: lifeMs };
    },

    /**
     * The browser that the user's open codes of that purpose are bound to, for one that is sent again; null if there is none.
     */
    findBrowserHash: (
      transaction: Transaction,
      userId: string,
      purpose: CodePurpose,
    ): Promise<Buffer | null> => store.findBrowserHash(transaction, userId, purpose),

    /**
     * The code that was presented, which is not spent by that. After five wrong tries one for typing is used up.
     * @param purpose that it must have; or several, if it may have any of them
     * @throws AppError `invalid_code` when it is wrong, spent, too old, or for another purpose; `rate_limited` after ten
     *   wrong ones for typing in a quarter of an hour, whether or not there is such an account; `unavailable`
     */
    async check(purpose: CodePurpose | CodePurpose[], presented: PresentedCode): Promise<OpenCode> {
      const purposes = [purpose].flat();
      const code =
        'link' in presented
          ? await store.findByLink(hashLinkCode(presented.link), purposes)
          : await guessTyped(purposes, presented);
      if (code === null) throw new AppError('invalid_code');
      return code;
    },

    /**
     * Spends a code that was checked, and all others of its purpose. One of many callers wins. A defence spends only those
     * that were made after it: who has a later one may be the thief, whose mailbox it went to, and the owner's own must go on
     * working.
     * @throws AppError `invalid_code` when it was spent in the meantime, or is too old by now
     */
    async spend(transaction: Transaction, code: OpenCode): Promise<void> {
      const others = DEFENCES.includes(code.purpose) ? 'later' : 'all';
      if (!(await store.spend(transaction, code, others))) throw new AppError('invalid_code');
    },

    /** Spends what was sent to the user before a password or an address was changed, but not what undoes such a change. */
    spendAll: (transaction: Transaction, userId: string): Promise<void> =>
      store.spendAll(transaction, userId, DEFENCES),

    /** What is stored of a user's codes, the oldest first, some at a time. @throws AppError `unavailable` */
    listOf: (userId: string): AsyncGenerator<StoredCode[]> =>
      inParts((limit, after) => store.list(userId, limit, after)),
  };

  /** A guess counts before it is looked at, and no longer if it was right, or could not be looked at. */
  async function guessTyped(purposes: CodePurpose[], presented: TypedCode): Promise<OpenCode | null> {
    const id = 'email' in presented ? presented.email : presented.userId;
    const guess = await guesses.take({ kind: 'code', id }, BUDGET);
    let isWrong = false;
    try {
      const code = await findTyped(purposes, presented, guess);
      isWrong = code === null;
      return code;
    } finally {
      if (!isWrong) await guess.giveBack();
    }
  }

  async function findTyped(
    purposes: CodePurpose[],
    presented: TypedCode,
    guess: Guess,
  ): Promise<OpenCode | null> {
    const { typed, userId } = presented;
    const email = 'email' in presented ? presented.email : undefined;
    const tried = await transact(async (transaction) => {
      // Something is written even where no code is tried: a commit takes longer if it has something to store, and would
      // tell for whom there is a code.
      await guess.rewrite(transaction);
      return store.takeTry(transaction, { email, purposes, userId });
    });
    const right = tried.find(({ id, typedHash }) => isTypedCode({ id, typedHash }, typed));
    if (right === undefined) return null;
    await store.giveBackTry(tried.map(({ id }) => id));
    const { typedHash, ...code } = right;
    return code;
  }
}
