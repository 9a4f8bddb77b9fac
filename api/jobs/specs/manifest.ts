/** `manifest`: documents applied as one set, or taken away. The text is checked here, so that mistakes are told at once with their places. */
import { z } from '@hono/zod-openapi'
import { checkManifest } from '#protocol/manifest/check-manifest.ts'
import type { ManifestSpec } from '#protocol/works-spec.ts'
import { Problem } from '../../problem.ts'

export const dnsLabel = z
  .string()
  .max(63)
  .regex(/^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/, 'Must be made of a-z, 0-9 and -.')

export const ManifestFields = {
  action: z.enum(['apply', 'delete']).nullish().openapi({ description: 'Default `apply`.' }),
  yaml: z
    .string()
    .min(1)
    .max(256 * 1024)
    .openapi({ description: 'YAML or JSON, many documents. Which kinds and fields are accepted: docs/use.md.' }),
  namespace: dnsLabel.nullish().openapi({ description: 'One that the cluster gives this project; absent: the first.' }),
  set: dnsLabel.nullish().openapi({
    description:
      'Name of this set of things. Applying again under it removes what the text no longer has; absent: nothing is removed.',
  }),
  dry_run: z.boolean().nullish().openapi({ description: 'Only says what would change, as a diff.' }),
  prune: z.boolean().nullish().openapi({ description: 'Default true, with `set`.' }),
  wait: z.boolean().nullish().openapi({ description: 'Over once all is healthy (default), or once all is applied.' }),
}
export type ManifestInput = { type: 'manifest' } & { [K in keyof typeof ManifestFields]: z.infer<(typeof ManifestFields)[K]> }

export function manifestSpec(input: Partial<ManifestInput> & Pick<ManifestInput, 'yaml'>): ManifestSpec {
  const namespace = input.namespace ?? null
  const checked = checkManifest(input.yaml, { namespace })
  if (!checked.ok) {
    const errors = checked.faults.slice(0, 50).map(({ pointer, detail, line }) => ({
      pointer: `/yaml${pointer}`,
      detail: line === undefined ? detail : `line ${line}: ${detail}`,
    }))
    throw new Problem('invalid', `${errors[0]!.pointer}: ${errors[0]!.detail}`, { errors })
  }
  return {
    type: 'manifest',
    action: input.action ?? 'apply',
    set: input.set ?? null,
    yaml: input.yaml,
    ...(namespace !== null && { namespace }),
    dry_run: input.dry_run ?? false,
    prune: input.prune ?? true,
    wait: input.wait ?? true,
  }
}
