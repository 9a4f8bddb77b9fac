/** Volumes of the puppet API. Archives are kept as they came. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Volume } from '../src/api/contract.ts'
import { empty, json, list, problem, readBody, readBytes } from './answers.ts'
import type { FakeState } from './fake-api.ts'

export function fakeVolumes(state: FakeState, nextId: (prefix: string) => string) {
  return async function volumes(request: IncomingMessage, id: string, verb: string, response: ServerResponse): Promise<unknown> {
    const { method } = request
    if (!id && method === 'GET') return json(response, 200, list([...state.volumes.values()]))
    if (!id) {
      const body = await readBody(request)
      const made: Volume = {
        id: nextId('vol'),
        object: 'volume',
        name: String(body.name),
        project: 'prj_01main',
        user: 'ada',
        cluster: typeof body.cluster === 'string' ? body.cluster : null,
        size: typeof body.size === 'string' ? body.size : null,
        session: null,
        created_at: new Date().toISOString(),
        last_used_at: null,
      }
      state.volumes.set(made.id, made)
      return json(response, 201, made)
    }
    const volume = state.volumes.get(id)
    if (!volume) return problem(response, 404, 'not_found')
    if (verb === 'archive' && method === 'GET') {
      response.writeHead(200, { 'content-type': 'application/gzip' })
      return response.end(state.archives.get(id) ?? Buffer.from('tar of nothing'))
    }
    if (volume.session)
      return problem(response, 409, 'conflict', { detail: `The session ${volume.session} writes to this volume.` })
    if (verb === 'archive') {
      state.archives.set(id, await readBytes(request))
      return empty(response)
    }
    state.volumes.delete(id)
    return empty(response)
  }
}
