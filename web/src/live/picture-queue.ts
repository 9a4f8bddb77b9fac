/**
 * Thumbnails without a stampede: at most `lanes` screenshots at once over the whole page, those waiting longest first. Each costs the
 * session's host some work, so nothing is fetched that nobody looks at: a request that is aborted while waiting is never sent.
 */
export interface PictureQueue {
  take: <T>(work: (signal: AbortSignal) => Promise<T>, signal: AbortSignal) => Promise<T>
}

export function createPictureQueue(lanes: number): PictureQueue {
  let busy = 0
  const waiting: (() => void)[] = []

  async function lane(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    if (busy < lanes) {
      busy += 1
      return
    }
    await new Promise<void>((resolve, reject) => {
      const turn = () => {
        signal.removeEventListener('abort', leave)
        resolve()
      }
      const leave = () => {
        waiting.splice(waiting.indexOf(turn), 1)
        reject(signal.reason)
      }
      signal.addEventListener('abort', leave, { once: true })
      waiting.push(turn)
    })
  }

  function release() {
    const next = waiting.shift()
    // The lane is handed over, not freed: nobody can slip in between.
    if (next) next()
    else busy -= 1
  }

  return {
    async take(work, signal) {
      await lane(signal)
      try {
        return await work(signal)
      } finally {
        release()
      }
    },
  }
}
