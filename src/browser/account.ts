import type { AuthStateStore } from './auth-state.ts';
import type { User } from './claims.ts';

/** A code from a mail. One that was typed also needs the address that the mail went to. */
export type MailCode = { code: string; email?: string | undefined };

/** All that the account holds on its user; times are RFC 3339. */
export type Profile = User & {
  created_at: string;
  display_name: string | null;
  /** Language of the mails, as a language tag (RFC 5646). */
  locale: string | null;
  /** What the app keeps with the account, at most 4 KiB of JSON. */
  metadata: Record<string, unknown>;
  /** Whether the password is in a list of leaked ones: ask for another one. */
  password_leaked: boolean;
  /** When the account will be deleted; null: it stays. */
  deletion_due_at: string | null;
};

/** JSON Merge Patch (RFC 7396): what is left out stays, null removes. */
export type ProfilePatch = Partial<Pick<Profile, 'display_name' | 'locale'>> & {
  metadata?: Record<string, unknown> | null;
};

type Tools = {
  ask: AuthStateStore['ask'];
  /** Sends a call that signs in, and shows its user. */
  enter: (path: string, body: object) => Promise<User | null>;
  /** Shows that nobody is signed in, in all tabs. */
  leave: () => void;
  /** Asks whether the session of this browser lives. */
  check: () => Promise<void>;
};

/** An interface, because the types of the package would print a type alias without what is said about each call. */
export interface Account extends ReturnType<typeof createAccount> {}

/** The calls for the life of an account: lost passwords, new addresses, the profile and the end. */
export function createAccount({ ask, enter, leave, check }: Tools) {
  const post = (path: string, body: object) => ask<void>('POST', path, body);
  const sign = (path: string, body: object) => enter(path, body) as Promise<User>;

  return {
    /** Sends a mail with a code for `resetPassword`, if there is an account with this address. @throws AuthError */
    requestReset: (email: string) => post('/password/forgot', { email }),

    /** Sets a new password and signs in; all other sessions end. @throws AuthError `invalid_code` */
    resetPassword: (reset: MailCode & { password: string }) => sign('/password/reset', reset),

    /**
     * Confirms the address and signs in.
     * @throws AuthError `invalid_code`, or `password_required` in another browser than the one that signed up: call it
     * again with the password, or, if the user knows nothing of it, `resetPassword` with the same code
     */
    verifyEmail: (proof: MailCode & { password?: string | undefined }) => sign('/email/verify', proof),

    /** Sends the mail with the code for `verifyEmail`. @param email if nobody is signed in @throws AuthError */
    sendVerification: (email?: string) => post('/email/verify/send', { email }),

    /**
     * Signs all other devices out.
     * @throws AuthError `invalid_credentials`; `reauthentication_required` without `currentPassword`, if the sign-in was
     * more than 10 minutes ago
     */
    changePassword: (change: { currentPassword?: string | undefined; newPassword: string }) =>
      sign('/password/change', {
        current_password: change.currentPassword,
        new_password: change.newPassword,
      }),

    /** Sends a code for `confirmEmailChange` to the new address. @throws AuthError like `changePassword` */
    changeEmail: (change: { email: string; password?: string | undefined }) => post('/email/change', change),

    /** Makes the new address that of the account; all other sessions end. @throws AuthError `invalid_code` */
    confirmEmailChange: ({ code }: MailCode) => sign('/email/change/confirm', { code }),

    /** Takes the former address back; all sessions end. @throws AuthError `invalid_code` */
    undoEmailChange: (code: MailCode) => post('/email/change/undo', code).then(check),

    /**
     * Ends the session that the owner was told of. The same code is good for `resetPassword` after that.
     * @throws AuthError `invalid_code`
     */
    disownSession: (code: MailCode) => post('/sessions/disown', code).then(check),

    /** @throws AuthError */
    profile: async () => (await ask<{ user: Profile }>('GET', '/me')).user,

    /** @returns the profile after that @throws AuthError */
    updateProfile: async (patch: ProfilePatch) => (await ask<{ user: Profile }>('PATCH', '/me', patch)).user,

    /**
     * Signs out everywhere.
     * @returns when the account will be deleted, or null if that is done @throws AuthError like `changePassword`
     */
    async deleteAccount(proof: { password?: string | undefined } = {}): Promise<string | null> {
      const { deletion_due_at } = await ask<{ deletion_due_at?: string }>('DELETE', '/me', proof);
      leave();
      return deletion_due_at ?? null;
    },

    /** Keeps an account that was to be deleted. @throws AuthError `invalid_code` */
    undoDeletion: (code: MailCode) => post('/me/undo-deletion', code),

    /** All that the server holds on the user, as one JSON document. @throws AuthError */
    exportData: () => ask<{ schema_version: number }>('GET', '/me/export'),
  };
}
