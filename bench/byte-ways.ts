/** One interface for every way to the target, so that each is asked the same. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { connect, createConnection } from 'node:net'
import type { WebSocket } from 'ws'
import { cpuOf, Part } from './processes.ts'
import { openSocket, type Stage } from './stage.ts'

export interface Line {
  write(data: Buffer | string): void
  onData(take: (data: Buffer) => void): void
  close(): void
}

export interface Way {
  open(): Promise<Line>
  /** CPU seconds of everything between client and target. */
  cpu(): number
  end(): Promise<void>
}

export async function tcpLine(port: number): Promise<Line> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true })
  await once(socket, 'connect')
  socket.on('error', () => {})
  return { write: data => void socket.write(data), onData: take => void socket.on('data', take), close: () => socket.destroy() }
}

export function socketLine(ws: WebSocket): Line {
  ws.on('error', () => {})
  return {
    write: data => ws.send(Buffer.from(data)),
    onData: take => void ws.on('message', data => take(data as Buffer)),
    close: () => ws.terminate(),
  }
}

export function directWay(stage: Stage): Way {
  return { open: () => tcpLine(stage.targetPort), cpu: () => 0, end: async () => {} }
}

export function portholeWay(stage: Stage): Way {
  return {
    open: async () => socketLine(await stage.stream()),
    cpu: () => stage.api.cpu() + stage.agent.cpu(),
    end: async () => {},
  }
}

/** `hops` bare proxies one behind the other. */
export async function proxyWay(stage: Stage, hops: number): Promise<Way> {
  const parts: Part[] = []
  let port = stage.targetPort
  for (let n = 0; n < hops; n++) {
    const { part, ready } = await Part.begin<{ port: number }>('bench/parts/tcp-proxy.ts', [String(port)])
    parts.push(part)
    port = ready.port
  }
  return {
    open: () => tcpLine(port),
    cpu: () => parts.reduce((sum, part) => sum + part.cpu(), 0),
    end: async () => void (await Promise.all(parts.map(part => part.end()))),
  }
}

/** Debian's websockify, where it is installed: one hop from WebSocket to TCP. null: it is not. */
export async function websockifyWay(stage: Stage): Promise<Way | null> {
  const port = 20_000 + Math.floor(Math.random() * 10_000)
  // In our own session: kernels that share out the processor by sessions would give another one a share of its own.
  const child = spawn('websockify', [`127.0.0.1:${port}`, `127.0.0.1:${stage.targetPort}`], { stdio: 'ignore' })
  const failed = await Promise.race([
    once(child, 'error').then(() => true),
    once(child, 'exit').then(() => true),
    listening(port).then(up => !up),
  ])
  if (failed) return null
  // It forks for each connection: its CPU is its own and that of children it has waited for.
  const ended = new Map<number, number>()
  return {
    open: async () => socketLine(await openSocket(`ws://127.0.0.1:${port}/`, undefined, ['binary'])),
    cpu: () => {
      for (const pid of familyOf(child.pid!)) ended.set(pid, cpuOf(pid))
      return [...ended.values()].reduce((sum, seconds) => sum + seconds, 0)
    },
    async end() {
      const gone = once(child, 'exit')
      for (const pid of familyOf(child.pid!).reverse()) process.kill(pid, 'SIGKILL')
      await gone
    },
  }
}

async function listening(port: number): Promise<boolean> {
  for (let tries = 0; tries < 200; tries++) {
    const socket = createConnection({ port, host: '127.0.0.1' })
    const up = await Promise.race([once(socket, 'connect').then(() => true), once(socket, 'error').then(() => false)]).catch(
      () => false,
    )
    socket.destroy()
    if (up) return true
    await new Promise(done => setTimeout(done, 50))
  }
  return false
}

function familyOf(root: number): number[] {
  const children = (pid: number): number[] => {
    try {
      return readChildren(pid)
    } catch {
      return []
    }
  }
  const found = [root]
  for (let at = 0; at < found.length; at++) found.push(...children(found[at]!))
  return found
}

function readChildren(pid: number): number[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(/\s+/).filter(Boolean).map(Number)
}
