import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import { type AppError, PROBLEMS } from '../core/errors.ts';
import { isLoopbackHost } from '../core/loopback.ts';
import { noteCause, toAppError } from '../http/problem.ts';
import { pickLanguage } from '../mail/mail-language.ts';
import type { Ui } from './open-ui.ts';
import { createRenderer, type FormView, type Renderer, type Site } from './render-page.ts';
import { type Field, FORMS, isLinkCode, type PageName, readCode } from './ui-pages.ts';
import { explainProblem } from './ui-problem.ts';
import type { Fields, Outcome } from './ui-submissions.ts';
import type { Texts } from './ui-texts.ts';

/** Answers requests with pages in the language that each asks for. */
export function createUiAnswers({ catalogue }: Ui, site: Site, publicUrl: string) {
  const headers = pageHeaders(publicUrl);
  const speakers = new Map(
    Object.entries(catalogue.texts).map(([language, texts]) => [
      language,
      { render: createRenderer(site, language, texts), texts },
    ]),
  );

  return {
    /** @param write makes the page */
    send(request: FastifyRequest, reply: FastifyReply, write: (render: Renderer) => string): FastifyReply {
      return send(reply, write(speakerOf(request).render));
    },

    /** What follows after a form was sent. Not the page itself for what is done: to reload that would send the form again. */
    sendOutcome(outcome: Outcome, request: FastifyRequest, reply: FastifyReply): FastifyReply {
      if ('done' in outcome) return reply.redirect(`${site.base}/${outcome.done}/done`, 303);
      if ('goTo' in outcome) return reply.redirect(`${site.base}/${outcome.goTo}`, 303);
      return send(reply, speakerOf(request).render.form(outcome));
    },

    /** The form again, with what was wrong beside its fields. */
    sendRefusal(error: AppError, form: { page: PageName; fields: Fields }, exchange: Exchange): FastifyReply {
      const { request, reply } = exchange;
      const { render, texts } = speakerOf(request);
      note(error, error, exchange);
      return send(reply, render.form(refusedForm(error, form, texts)));
    },

    /** A page for an error outside of a form. */
    sendError(error: FastifyError | AppError, request: FastifyRequest, reply: FastifyReply): FastifyReply {
      const { render, texts } = speakerOf(request);
      const appError = toAppError(error);
      note(appError, error, { request, reply });
      return send(reply, render.problem(explainProblem(appError, texts).text));
    },
  };

  function speakerOf({ headers }: FastifyRequest): { render: Renderer; texts: Texts } {
    const { language } = pickLanguage(headers['accept-language'] ?? null, catalogue.languages);
    return speakers.get(language) as { render: Renderer; texts: Texts };
  }

  function send(reply: FastifyReply, page: string): FastifyReply {
    // Here and not in a hook: a request may be refused before the hooks of these routes.
    return reply.headers(headers).type('text/html; charset=utf-8').send(page);
  }
}

type Exchange = { request: FastifyRequest; reply: FastifyReply };

function note(error: AppError, cause: unknown, { request, reply }: Exchange): void {
  noteCause(error, cause, request);
  reply.code(PROBLEMS[error.code].status);
  if (error.retryAfterSeconds !== undefined) reply.header('retry-after', error.retryAfterSeconds);
}

function refusedForm(
  error: AppError,
  { page, fields }: { page: PageName; fields: Fields },
  texts: Texts,
): FormView {
  const asksPassword = page === 'verify' && fields.password !== '';
  const shown: Field[] = [...FORMS[page].fields, ...(asksPassword ? (['password'] as const) : [])];
  // The code of a link cannot be corrected by hand.
  const dropsCode = error.code === 'invalid_code' && isLinkCode(readCode(fields).code);
  return {
    page,
    values: { email: fields.email, code: dropsCode ? '' : fields.code },
    problem: explainProblem(error, texts, shown, page === 'verify'),
    asksPassword,
  };
}

/** In addition to what every answer has. Nothing of these pages is inline, and nothing comes from elsewhere. */
function pageHeaders(publicUrl: string): Record<string, string> {
  const { protocol, hostname } = new URL(publicUrl);
  // Without a referrer, browsers say `Origin: null` for a form, and which page it comes from in `Sec-Fetch-Site` alone. They
  // leave that out over plain http to other machines. The code is in neither: it is behind the `#`.
  const isTrusted = protocol === 'https:' || isLoopbackHost(hostname);
  return {
    'content-security-policy': [
      ...[`default-src 'none'`, `style-src 'self'`, `script-src 'self'`, `img-src 'self' data:`],
      ...[`form-action 'self'`, `frame-ancestors 'none'`, `base-uri 'none'`],
    ].join('; '),
    'referrer-policy': isTrusted ? 'no-referrer' : 'same-origin',
    'x-robots-tag': 'noindex',
    'cache-control': 'no-store',
  };
}
