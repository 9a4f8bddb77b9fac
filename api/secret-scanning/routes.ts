/**
 * `POST /secret-scanning/github`: GitHub's secret scanning partner programme reports tokens that were found in public. A report is believed only with
 * its signature; what is ours is revoked, and the answer tells GitHub which were.
 */
import { z } from '@hono/zod-openapi'
import { Problem } from '../problem.ts'
import type { Mount } from '../resources.ts'
import { declareRoute, json, jsonBody, newRouter, problemAnswers } from '../route.ts'
import { bodyUpTo } from '../webhooks/body.ts'
import { endLeaked } from './service.ts'
import { isSignedBy, PublishedKeys } from './signature.ts'

const tags = ['Tokens']
const text = z.string().max(10_000)
const Report = z
  .array(z.object({ token: text, type: text, url: text.nullish(), source: text.nullish() }))
  .max(5_000)
  .openapi('LeakReport')

const Verdict = z
  .object({
    token_hash: z.string().openapi({ description: 'SHA-256 of the token, base64: the answer holds no secret.' }),
    token_type: z.string(),
    label: z.enum(['true_positive', 'false_positive']),
  })
  .openapi('LeakVerdict')

const github = {
  access: 'public',
  operationId: 'reportLeaks',
  method: 'post',
  path: '/secret-scanning/github',
  tags,
  summary: 'For GitHub’s secret scanning: tokens, share links and join tokens found in public are revoked',
  description:
    'Signed by GitHub: `Github-Public-Key-Identifier` names one of its published keys, `Github-Public-Key-Signature` is ECDSA P-256 with SHA-256 ' +
    'over the body. A leaked token ends with every token it was rotated from or into.',
  request: {
    headers: z.object({ 'github-public-key-identifier': z.string(), 'github-public-key-signature': z.string() }),
    body: jsonBody(Report),
  },
  responses: {
    200: json(z.array(Verdict), 'Which of them were ours; they are no use any more'),
    ...problemAnswers('unauthorized', 'unavailable'),
  },
} as const

export const mountSecretScanning: Mount = (app, { auth, platform }) => {
  const keys = new PublishedKeys(platform.config.leakReportKeys)
  const router = newRouter()
  // Believed before it is looked at: the signature is over the bytes as they came.
  declareRoute(router, github, github.path, async c => {
    const { ctx } = c.var
    const body = await bodyUpTo(c.req.raw, ctx.config.maxJsonBody)
    const identifier = c.req.header('github-public-key-identifier') ?? ''
    const signature = c.req.header('github-public-key-signature') ?? ''
    if (identifier === '' || signature === '' || signature.length > 200) throw unsigned()
    const pem = await keys.pem(identifier.slice(0, 200)).catch(error => {
      ctx.log.warn('leak_report_keys_unreachable', { message: String(error) })
      throw new Problem('unavailable', 'GitHub’s keys cannot be had now.', { headers: { 'retry-after': '30' } })
    })
    if (pem === null || !(await isSignedBy(pem, signature, body))) throw unsigned()
    const report = Report.safeParse(parsed(body))
    if (!report.success) throw new Problem('bad_request', 'The body is no list of {token, type, url, source}.')
    const verdicts: z.infer<typeof Verdict>[] = []
    for (const { token, type, url, source } of report.data) {
      const ours = await endLeaked(ctx, auth, { token, type, url: url ?? '', source: source ?? '' })
      const hash = await ctx.sha256(token)
      const token_hash = btoa(String.fromCharCode(...hash))
      verdicts.push({ token_hash, token_type: type, label: ours ? 'true_positive' : 'false_positive' })
    }
    return c.json(verdicts, 200)
  })
  app.route('/', router)
}

const unsigned = () => new Problem('unauthorized', 'The report is not signed with a key that GitHub publishes.')

function parsed(body: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(body))
  } catch {
    return null
  }
}
