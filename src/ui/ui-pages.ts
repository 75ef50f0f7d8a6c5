/** What a form can ask for, in the order in which it asks. */
export type Field = 'email' | 'code' | 'password';

/** A page with a form. */
type Form = {
  fields: readonly Field[];
  /** Which password: decides the label, and what a password manager offers. */
  password: 'current' | 'new';
};

/** Codes can be typed with the address that they were sent to, which a link leaves out. */
const CODE = ['email', 'code'] as const;

/** The pages with forms. Mails link to those that ask for a code. */
export const FORMS = {
  'sign-in': { fields: ['email', 'password'], password: 'current' },
  'sign-up': { fields: ['email', 'password'], password: 'new' },
  forgot: { fields: ['email'], password: 'new' },
  reset: { fields: [...CODE, 'password'], password: 'new' },
  verify: { fields: CODE, password: 'current' },
  // Its user is signed in, so the address is known.
  'email-change': { fields: ['code'], password: 'current' },
  'email-undo': { fields: CODE, password: 'current' },
  'not-me': { fields: CODE, password: 'current' },
  'deletion-undo': { fields: CODE, password: 'current' },
} as const satisfies Record<string, Form>;

export type PageName = keyof typeof FORMS;

/** The pages that have a page of their own for what came of it. */
export const DONE_PAGES = [
  'sign-up',
  'forgot',
  'reset',
  'verify',
  'email-change',
  'email-undo',
  'deletion-undo',
] as const satisfies PageName[];

export type DonePage = (typeof DONE_PAGES)[number];

/** Where a user may want to go from a page. */
export const LINKS: Record<PageName, readonly ('sign-in' | 'sign-up' | 'forgot' | 'reset' | 'verify')[]> = {
  'sign-in': ['sign-up', 'forgot'],
  'sign-up': ['sign-in'],
  forgot: ['sign-in', 'reset'],
  reset: ['forgot', 'sign-in'],
  verify: ['sign-in'],
  'email-change': ['sign-in'],
  'email-undo': ['sign-in'],
  'not-me': ['sign-in'],
  'deletion-undo': ['sign-in'],
};

/** Where a user may want to go after it is done, and the text of that link. */
export const NEXT = {
  'sign-up': { page: 'verify', text: 'verify.link' },
  forgot: { page: 'reset', text: 'reset.link' },
  reset: { page: 'sign-in', text: 'go-on' },
  verify: { page: 'sign-in', text: 'go-on' },
  'email-change': { page: 'sign-in', text: 'go-on' },
  'email-undo': { page: 'reset', text: 'reset.link' },
  'deletion-undo': { page: 'sign-in', text: 'sign-in.link' },
} as const satisfies Record<DonePage, { page: PageName; text: string }>;

const LINK_CODE = /^[\w-]{43}$/;

/** A code as the JSON routes take it: that of a link, or one for typing with the address that it was sent to. */
export type CodeFields = { code: string; email?: string };

/** Reads the code of a form. Also takes a whole link that was pasted, for a browser whose script did not run. */
export function readCode({ code, email }: { code: string; email: string }): CodeFields {
  const bare = code.trim().replace(/^.*#code=/s, '');
  return isLinkCode(bare) || email === '' ? { code: bare } : { code: bare, email };
}

/** Whether it is the code of a link, which no user types. */
export function isLinkCode(code: string): boolean {
  return LINK_CODE.test(code);
}
