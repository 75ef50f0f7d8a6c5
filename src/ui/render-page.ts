import { element, htmlPage, tag } from './page-html.ts';
import { type DonePage, type Field, FORMS, LINKS, NEXT, type PageName } from './ui-pages.ts';
import { fill, type TextName, type Texts } from './ui-texts.ts';

/** What is the same on all pages of a server. */
export type Site = {
  /** Path of the pages as browsers see it, such as `/auth/ui`. */
  base: string;
  /** The pages that are there. */
  pages: ReadonlySet<PageName>;
  minPasswordLength: number;
};

/** What went wrong: with single fields, or else with the whole. */
export type Problem = { text: string; fields: Partial<Record<Field, string>> };

export type FormView = {
  page: PageName;
  /** What was entered already. A code from a link stays out of sight. */
  values: { email?: string; code?: string };
  problem?: Problem;
  /** Said above the form. */
  notice?: TextName;
  /** Whether the page for verifying asks for the password too. */
  asksPassword?: boolean;
};

export type Renderer = ReturnType<typeof createRenderer>;

/** Writes the pages of a server in one language. */
export function createRenderer({ base, pages, minPasswordLength }: Site, language: string, texts: Texts) {
  return { form, done, signedIn, problem };

  /** A page with a form. */
  function form(view: FormView): string {
    const { page, notice } = view;
    return frame(texts[`${page}.title`], view.problem !== undefined, [
      notice === undefined ? '' : element('p', { class: 'notice' }, texts[notice]),
      problemBox(view),
      element('p', {}, view.asksPassword ? texts['verify.password'] : texts[`${page}.intro`]),
      ...mainForm(view),
      ...(view.asksPassword ? strangerForm(view) : []),
      linkList(LINKS[page].map((to) => ({ page: to, text: `${to}.link` as const }))),
    ]);
  }

  /** What came of it. */
  function done(page: DonePage): string {
    return frame(texts[`${page}.done.title`], false, [
      element('p', {}, texts[`${page}.done`]),
      linkList([NEXT[page]]),
    ]);
  }

  function signedIn(email: string): string {
    return frame(texts['signed-in.title'], false, [
      element('p', {}, fill(texts['signed-in.intro'], { email })),
      tag('form', { method: 'post', action: `${base}/sign-out` }),
      element('button', {}, texts['signed-in.button']),
      '</form>',
    ]);
  }

  /** For what has no form to be shown beside. */
  function problem(text: string): string {
    return frame(texts['problem.title'], true, [
      element('p', {}, text),
      linkList([{ page: 'sign-in', text: 'sign-in.link' }]),
    ]);
  }

  function frame(heading: string, isError: boolean, content: string[]): string {
    return htmlPage({
      language,
      title: isError ? `${texts.error}: ${heading}` : heading,
      brand: texts.brand,
      base,
      content: [element('h1', {}, heading), ...content],
    });
  }

  /** It gets the focus, so that a screen reader says it. With single fields, the first of them does. */
  function problemBox({ problem }: FormView): string {
    if (problem === undefined || Object.keys(problem.fields).length > 0) return '';
    return element('p', { class: 'problem', role: 'alert', tabindex: '-1', autofocus: true }, problem.text);
  }

  function mainForm(view: FormView): string[] {
    const { page } = view;
    const fields: readonly Field[] = view.asksPassword
      ? [...FORMS[page].fields, 'password']
      : FORMS[page].fields;
    const isOfMail = fields.includes('code');
    const byHand = isOfMail ? fields.filter((field): field is 'email' | 'code' => field !== 'password') : [];
    const others = isOfMail ? fields.filter((field) => field === 'password') : fields;
    return [
      tag('form', { method: 'post', action: `${base}/${page}`, 'data-of-mail': isOfMail }),
      ...(isOfMail ? codePart(view, byHand) : []),
      ...others.flatMap((field) => input(view, field)),
      element('button', {}, texts[`${page}.button`]),
      '</form>',
    ];
  }

  /** Shown unless a code was presented and nothing is wrong with it. */
  function codePart(view: FormView, byHand: Field[]): string[] {
    const { values, problem } = view;
    if (values.code && byHand.every((field) => problem?.fields[field] === undefined)) return unseen(view);
    return [
      tag('fieldset', { 'data-by-hand': true }),
      element('legend', {}, texts['by-hand']),
      ...byHand.flatMap((field) => input(view, field)),
      '</fieldset>',
    ];
  }

  function unseen({ values }: FormView): string[] {
    return Object.entries(values)
      .filter(([, value]) => value)
      .map(([name, value]) => tag('input', { type: 'hidden', name, value }));
  }

  /** The owner of an address that somebody else signed up with. Nothing is changed before a password was chosen. */
  function strangerForm(view: FormView): string[] {
    if (!pages.has('reset')) return [];
    return [
      tag('form', { method: 'post', action: `${base}/verify/stranger`, class: 'other' }),
      element('p', {}, texts['verify.stranger']),
      ...unseen(view),
      element('button', {}, texts['verify.stranger.button']),
      '</form>',
    ];
  }

  function input({ page, values, problem }: FormView, field: Field): string[] {
    const { label, hint, attributes } = kindOf(page, field);
    const errors = problem?.fields ?? {};
    const error = errors[field] ?? '';
    const describedBy = [hint && `${field}-hint`, error && `${field}-error`].filter(Boolean).join(' ');
    return [
      '<div class="field">',
      element('label', { for: field }, label),
      element('p', { class: 'hint', id: `${field}-hint` }, hint),
      element('p', { class: 'error', id: `${field}-error` }, error),
      tag('input', {
        id: field,
        name: field,
        required: true,
        ...attributes,
        value: field === 'password' ? undefined : values[field],
        'aria-describedby': describedBy,
        'aria-invalid': error !== '' && 'true',
        autofocus: Object.keys(errors)[0] === field,
      }),
      '</div>',
    ];
  }

  function kindOf(page: PageName, field: Field) {
    if (field === 'email') {
      const hint = FORMS[page].fields.some((other) => other === 'code') ? texts['email.hint'] : '';
      const attributes = { type: 'email', autocomplete: 'username', maxlength: '320' };
      return { label: texts.email, hint, attributes };
    }
    if (field === 'code') {
      const attributes = { autocomplete: 'one-time-code', autocapitalize: 'characters', spellcheck: 'false' };
      return {
        label: texts.code,
        hint: texts['code.hint'],
        attributes: { ...attributes, maxlength: '2000' },
      };
    }
    const autocomplete = `${FORMS[page].password}-password`;
    const attributes = { type: 'password', autocomplete };
    if (FORMS[page].password === 'current') return { label: texts.password, hint: '', attributes };
    const hint = fill(texts['new-password.hint'], { min: String(minPasswordLength) });
    return { label: texts['new-password'], hint, attributes };
  }

  function linkList(links: readonly { page: PageName; text: TextName }[]): string {
    const items = links
      .filter(({ page }) => pages.has(page))
      .map(({ page, text }) => `<li>${element('a', { href: `${base}/${page}` }, texts[text])}</li>`);
    return items.length === 0 ? '' : `<ul>${items.join('')}</ul>`;
  }
}
