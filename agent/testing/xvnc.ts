/** A real Xvnc for one test file: an X display and its RFB socket in a folder of its own. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Readable } from 'node:stream'

export class Xvnc {
  readonly display: number
  private readonly child: ChildProcess
  private readonly folder: string

  private constructor(child: ChildProcess, folder: string, display: number) {
    this.child = child
    this.folder = folder
    this.display = display
  }

  static async start(): Promise<Xvnc> {
    const folder = await mkdtemp(join(tmpdir(), 'agent-xvnc-'))
    const args =
      '-displayfd 3 -geometry 640x480 -depth 24 -SecurityTypes None -UseBlacklist=0 -rfbport -1 -rfbunixmode 0600 -nolisten tcp -nolisten local -ac -noreset -AlwaysShared -extension GLX'
    const child = spawn('Xvnc', [...args.split(' '), '-rfbunixpath', join(folder, 'rfb.sock')], {
      stdio: ['ignore', 'ignore', 'ignore', 'pipe'],
    })
    const display = await new Promise<number>((resolve, reject) => {
      child.once('error', reject)
      child.once('exit', code => reject(new Error(`Xvnc ended with ${code}`)))
      ;(child.stdio[3] as Readable).once('data', data => resolve(Number(String(data))))
    })
    return new Xvnc(child, folder, display)
  }

  async connect(): Promise<Socket> {
    const socket = connect(join(this.folder, 'rfb.sock'))
    await once(socket, 'connect')
    return socket
  }

  async stop(): Promise<void> {
    const gone = once(this.child, 'exit')
    this.child.kill('SIGTERM')
    await gone
    await rm(this.folder, { recursive: true, force: true })
  }
}
