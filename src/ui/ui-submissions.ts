import type { FormView } from './render-page.ts';
import type { Exchange, UiActions } from './ui-actions.ts';
import { type CodeFields, type DonePage, type Field, type PageName, readCode } from './ui-pages.ts';

/** All that a form may have sent; what it has not is empty. */
export type Fields = Record<Field, string>;

/** What follows: a page that says it is done, another page, or a form to fill in next. */
export type Outcome = { done: DonePage } | { goTo: PageName } | FormView;

type Submit = (fields: Fields, exchange: Exchange) => Promise<Outcome>;

/** What each page does when its form is sent. A page without an action is left out. */
export function submissionsOf(actions: UiActions): Map<PageName, Submit> {
  const { signIn, signUp, forgot, resetPassword, verifyEmail, disown } = actions;
  const submissions: Partial<Record<PageName, Submit | undefined>> = {
    'sign-in': async ({ email, password }, exchange) => {
      await signIn({ email, password }, exchange);
      return { goTo: 'sign-in' };
    },
    'sign-up': async ({ email, password }, exchange) => {
      const result = await signUp({ email, password }, exchange);
      return result === 'signed_in' ? { goTo: 'sign-in' } : { done: 'sign-up' };
    },
    forgot:
      forgot &&
      (async ({ email }, exchange) => {
        await forgot(email, exchange);
        return { done: 'forgot' };
      }),
    reset:
      resetPassword &&
      (async (fields, exchange) => {
        await resetPassword(readCode(fields), fields.password, exchange);
        return { done: 'reset' };
      }),
    verify:
      verifyEmail &&
      (async (fields, exchange) => {
        const result = await verifyEmail(readCode(fields), fields.password || null, exchange);
        if (result === 'verified') return { done: 'verify' };
        return { page: 'verify', values: codeOf(fields), asksPassword: true };
      }),
    'not-me':
      disown &&
      resetPassword &&
      (async (fields, exchange) => {
        await disown(readCode(fields), exchange);
        // The same code sets the new password.
        return { page: 'reset', values: codeOf(fields), notice: 'not-me.notice' };
      }),
    'email-change': withCode('email-change', actions.confirmEmailChange),
    'email-undo': withCode('email-undo', actions.undoEmailChange),
    'deletion-undo': withCode('deletion-undo', actions.undoDeletion),
  };
  return new Map(
    Object.entries(submissions).flatMap(([page, submit]): [PageName, Submit][] =>
      submit === undefined ? [] : [[page as PageName, submit]],
    ),
  );
}

function withCode(
  done: DonePage,
  action: ((code: CodeFields, exchange: Exchange) => Promise<void>) | undefined,
): Submit | undefined {
  if (action === undefined) return undefined;
  return async (fields, exchange) => {
    await action(readCode(fields), exchange);
    return { done };
  };
}

/** The code and the address that go along to the next form. */
export function codeOf({ code, email }: Fields): { code: string; email: string } {
  return { code, email };
}
