/** An agent's refusal as the viewer's problem: its code where we know the word, else the one its status stands for. */
import { Problem, type ProblemCode, problems } from '../problem.ts'

const byStatus: Record<number, ProblemCode> = {
  400: 'bad_request',
  403: 'forbidden',
  404: 'not_found',
  409: 'conflict',
  428: 'playwright_version',
  429: 'rate_limited',
  502: 'target_refused',
  503: 'unavailable',
  504: 'target_timeout',
}

export function refusalProblem(refused: { status: number; code: string; detail: string }): Problem {
  const known = Object.hasOwn(problems, refused.code) ? (refused.code as ProblemCode) : undefined
  const code = known && known !== 'unauthorized' ? known : (byStatus[refused.status] ?? 'target_refused')
  const headers: Record<string, string> = code === 'rate_limited' || code === 'no_capacity' ? { 'retry-after': '5' } : {}
  return new Problem(code, refused.detail.slice(0, 1_000) || 'The session refused the stream.', { headers })
}

export function clusterOffline(): Problem {
  return new Problem('cluster_offline', 'The cluster of this session is offline.', { headers: { 'retry-after': '5' } })
}
