/** For the bench only: the product's stream object beside one that relays each message by JavaScript, reached the same way. */
import { DurableObject } from 'cloudflare:workers'
import { StreamObject, sideHeader } from '../../api/workers/stream-object.ts'

export { StreamObject as Native }

/** How a relay looks that does not join its sockets: every message wakes it. */
export class PerMessage extends DurableObject {
  private first: WebSocket | null = null

  override async fetch(): Promise<Response> {
    const [far, near] = Object.values(new WebSocketPair()) as [WebSocket, WebSocket]
    near.accept()
    near.binaryType = 'arraybuffer'
    const other = this.first
    if (!other) this.first = near
    else {
      near.addEventListener('message', ({ data }) => other.send(data))
      other.addEventListener('message', ({ data }) => near.send(data))
      near.addEventListener('close', ({ code, reason }) => other.close(code, reason))
      other.addEventListener('close', ({ code, reason }) => near.close(code, reason))
    }
    return new Response(null, { status: 101, webSocket: far })
  }
}

interface Bindings {
  native: DurableObjectNamespace
  message: DurableObjectNamespace
}

export default {
  fetch(request, bindings) {
    const [, kind, id, side] = new URL(request.url).pathname.split('/') as [string, 'native' | 'message', string, string]
    const namespace = bindings[kind]
    const headers = { upgrade: 'websocket', [sideHeader]: JSON.stringify([side, null, 10_000]) }
    return namespace.get(namespace.idFromName(id)).fetch('https://stream/', { headers })
  },
} satisfies ExportedHandler<Bindings>
