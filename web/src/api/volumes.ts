/** Files that outlive sessions. */
import type { List, Volume, VolumeCreate } from './contract.ts'
import type { Http } from './http.ts'

export function volumeCalls({ send, json, maybe }: Http) {
  const volume = (id: string, rest = '') => `/v1/volumes/${encodeURIComponent(id)}${rest}`
  return {
    volumes: (cursor: string | null, signal: AbortSignal) =>
      json<List<Volume>>('/v1/volumes', { query: { cursor, limit: 100 }, signal }),
    createVolume: (body: VolumeCreate) => json<Volume>('/v1/volumes', { method: 'POST', body }),
    deleteVolume: (id: string) => maybe(volume(id), { method: 'DELETE' }),
    /** tar.gz, as it comes. */
    downloadVolume: (id: string, signal: AbortSignal) =>
      send(volume(id, '/archive'), { headers: { accept: 'application/gzip' }, signal }),
    uploadVolume: (id: string, archive: Blob, signal: AbortSignal) =>
      maybe(volume(id, '/archive'), { method: 'PUT', raw: archive, headers: { 'content-type': 'application/gzip' }, signal }),
  }
}
