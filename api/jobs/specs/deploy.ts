/** `deploy`: new images for named services, all or none. */
import { z } from '@hono/zod-openapi'
import type { DeploySpec } from '#protocol/works-spec.ts'
import { dnsLabel } from './manifest.ts'

export const imageReference = z
  .string()
  .min(1)
  .max(512)
  .regex(
    /^[a-z0-9]+([._:/-]+[a-zA-Z0-9_]+)*(:[A-Za-z0-9_][A-Za-z0-9._-]{0,127})?(@sha256:[0-9a-f]{64})?$/,
    'This is no image reference.',
  )

const service = z
  .string()
  .max(200)
  .regex(
    /^((deployment|statefulset)\/)?[a-z0-9]([a-z0-9-]*[a-z0-9])?(\/[a-z0-9]([a-z0-9-]*[a-z0-9])?)?$/,
    'Must be name, name/container or deployment/name.',
  )

export const DeployFields = {
  mappings: z
    .record(service, imageReference)
    .refine(map => Object.keys(map).length >= 1 && Object.keys(map).length <= 50, 'Between 1 and 50 services.')
    .openapi({
      description:
        'Service -> image. A service is a Deployment or StatefulSet: `name`, `name/container`, `deployment/name`, `statefulset/name/container`.',
      example: { web: 'registry.example.com/team/web:1.4.2' },
    }),
  namespace: dnsLabel.nullish(),
  dry_run: z.boolean().nullish(),
  ready_timeout_seconds: z
    .int()
    .min(5)
    .max(3600)
    .nullish()
    .openapi({ description: 'Not ready by then: all go back to what they ran before. Default 300.' }),
}
export type DeployInput = { type: 'deploy' } & { [K in keyof typeof DeployFields]: z.infer<(typeof DeployFields)[K]> }

export function deploySpec(input: Partial<DeployInput> & Pick<DeployInput, 'mappings'>): DeploySpec {
  return {
    type: 'deploy',
    mappings: input.mappings,
    ...(input.namespace && { namespace: input.namespace }),
    dry_run: input.dry_run ?? false,
    ready_timeout_ms: (input.ready_timeout_seconds ?? 300) * 1000,
  }
}
