import formBody from '@fastify/formbody';
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import type { FastifyContextConfig, FastifyRequest } from 'fastify';
import Type, { type TSchema } from 'typebox';
import { AppError } from '../core/errors.ts';
import { Body, Text } from '../http/schemas.ts';
import type { Ui } from './open-ui.ts';
import type { UiActions } from './ui-actions.ts';
import { createUiAnswers } from './ui-answers.ts';
import { uiAssetsRoutes } from './ui-assets-routes.ts';
import { DONE_PAGES, type Field, FORMS, type PageName } from './ui-pages.ts';
import { codeOf, type Fields, submissionsOf } from './ui-submissions.ts';

export type UiRoutesOptions = {
  ui: Ui;
  actions: UiActions;
  publicUrl: string;
  minPasswordLength: number;
  /** Rate limit of what takes a password or a code. */
  limit: FastifyContextConfig;
};

/** Hidden, since the OpenAPI document describes what programs call. */
const schema = { hide: true };

/**
 * Pages for people: for what mails link to, and to sign in. They work without a script, and a GET changes nothing: programs
 * that scan mails open every link. Registered with a prefix that ends with `/ui`.
 */
export const uiRoutes: FastifyPluginAsyncTypebox<UiRoutesOptions> = async (app, options) => {
  const { ui, actions, publicUrl, minPasswordLength, limit } = options;
  const submissions = submissionsOf(actions);
  const pages = new Set(submissions.keys());
  const base = `${new URL(publicUrl).pathname.replace(/\/$/, '')}/ui`;
  const answers = createUiAnswers(ui, { base, pages, minPasswordLength }, publicUrl);

  app.removeAllContentTypeParsers();
  await app.register(formBody);
  app.setErrorHandler(answers.sendError);
  app.setNotFoundHandler((request, reply) => answers.sendError(new AppError('not_found'), request, reply));
  await app.register(uiAssetsRoutes, ui);

  app.get('/', { schema }, async (_request, reply) => reply.redirect(`${base}/sign-in`, 303));

  app.get('/sign-in', { schema }, async (request, reply) => {
    const user = await actions.findUser({ request, reply });
    return answers.send(request, reply, ({ form, signedIn }) =>
      user === null ? form({ page: 'sign-in', values: {} }) : signedIn(user.email),
    );
  });

  app.post('/sign-out', { schema: { ...schema, body: Nothing } }, async (request, reply) => {
    await actions.signOut({ request, reply });
    return reply.redirect(`${base}/sign-in`, 303);
  });

  for (const page of pages)
    if (page !== 'sign-in')
      app.get(`/${page}`, { schema }, async (request, reply) =>
        answers.send(request, reply, ({ form }) => form({ page, values: {} })),
      );

  for (const page of DONE_PAGES)
    if (pages.has(page))
      app.get(`/${page}/done`, { schema }, async (request, reply) =>
        answers.send(request, reply, ({ done }) => done(page)),
      );

  for (const [page, submit] of submissions)
    app.post(
      `/${page}`,
      { config: limit, schema: { ...schema, body: formOf(page) } },
      async (request, reply) => {
        const fields = fieldsOf(request);
        try {
          return answers.sendOutcome(await submit(fields, { request, reply }), request, reply);
        } catch (error) {
          // Of the form: what else goes wrong has a page of its own.
          if (!(error instanceof AppError)) throw error;
          return answers.sendRefusal(error, { page, fields }, { request, reply });
        }
      },
    );

  // The owner of an address that somebody else signed up with: the code of that mail sets a password, too.
  if (pages.has('verify') && pages.has('reset'))
    app.post(
      '/verify/stranger',
      { schema: { ...schema, body: formOf('email-undo') } },
      async (request, reply) =>
        answers.send(request, reply, ({ form }) =>
          form({ page: 'reset', values: codeOf(fieldsOf(request)), notice: 'stranger.notice' }),
        ),
    );
};

/** A form without fields has no body at all. */
const Nothing = Type.Unsafe<null>({ type: ['object', 'null'], additionalProperties: false });

const FIELDS: Record<Field, TSchema> = {
  email: Text({ maxLength: 320 }),
  code: Text({ maxLength: 2000 }),
  password: Text(),
};

/** Exactly the fields of the page. The address is left out beside the code of a link, the password where it is asked later. */
function formOf(page: PageName): TSchema {
  const names: readonly Field[] = FORMS[page].fields;
  const isOptional = (name: Field) => name === 'email' && names.includes('code');
  const fields = names.map((name) => [name, isOptional(name) ? Type.Optional(FIELDS[name]) : FIELDS[name]]);
  const later = page === 'verify' ? { password: Type.Optional(FIELDS.password) } : {};
  return Body({ ...Object.fromEntries(fields), ...later });
}

function fieldsOf({ body }: FastifyRequest): Fields {
  return { email: '', code: '', password: '', ...(body as Partial<Fields>) };
}
