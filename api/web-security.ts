/**
 * Browsers send cookies and open WebSockets from any page. Whatever is authenticated by cookie and changes something, and every WebSocket
 * that names an `Origin`, must come from an origin of ours, compared exactly.
 */
import type { Ctx } from './context.ts'
import { Problem } from './problem.ts'

export function checkOrigin(ctx: Ctx, request: Request): void {
  const origin = request.headers.get('origin')
  const upgrade = request.headers.get('upgrade') !== null
  const cookie = ctx.actor.kind === 'token' && ctx.actor.via === 'cookie'
  const unsafe = !['GET', 'HEAD', 'OPTIONS'].includes(request.method)
  if (!(cookie && (unsafe || upgrade)) && !(upgrade && origin !== null)) return
  if (isOurs(ctx, origin)) return
  throw new Problem('forbidden', 'Requests of this kind must come from a page of this origin.')
}

export function isOurs(ctx: Ctx, origin: string | null): boolean {
  return origin !== null && (origin === ctx.origin || ctx.config.allowedOrigins.includes(origin))
}
