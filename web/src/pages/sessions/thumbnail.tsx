/** A small picture of a running screen: fetched only while someone can see it, through one queue for the whole page. */
import { useEffect, useRef, useState } from 'react'
import { messageOf } from '../../api/api-error.ts'
import { useApp } from '../../app-context.tsx'

const everyMs = 8_000
const slowestMs = 60_000

export function Thumbnail({ id, generation, title }: { id: string; generation: number; title: string }) {
  const box = useRef<HTMLDivElement>(null)
  const { url } = useStill({ id, generation, width: 320, everyMs, visible: useOnScreen(box) })
  return (
    <div className="thumb" ref={box} data-ready={url ? true : undefined}>
      {url && <img src={url} alt={`Screen of ${title}`} decoding="async" draggable={false} />}
    </div>
  )
}

interface StillParts {
  id: string
  generation: number
  /** Null: as large as it is. */
  width: number | null
  everyMs: number
  visible: boolean
}

/** A picture of the screen, taken again and again while it is seen. */
export function useStill({ id, generation, width, everyMs, visible }: StillParts): { url: string | null; fault: string } {
  const { api, pictures } = useApp()
  const [url, setUrl] = useState<string | null>(null)
  const [fault, setFault] = useState('')

  // biome-ignore lint/correctness/useExhaustiveDependencies: a new generation is a new screen
  useEffect(() => {
    if (!visible) return
    const stop = new AbortController()
    let timer: ReturnType<typeof setTimeout> | undefined
    let failures = 0
    async function refresh() {
      try {
        const blob = await pictures.take(signal => api.screenshot(id, width, signal), stop.signal)
        failures = 0
        setUrl(URL.createObjectURL(blob))
        setFault('')
      } catch (error) {
        failures += 1
        if (!stop.signal.aborted) setFault(messageOf(error))
      }
      if (!stop.signal.aborted) timer = setTimeout(() => void refresh(), Math.min(slowestMs, everyMs * 2 ** failures))
    }
    void refresh()
    return () => {
      stop.abort()
      clearTimeout(timer)
    }
  }, [visible, id, generation, width, everyMs, api, pictures])

  // The picture that is replaced, and the last one, give their memory back.
  useEffect(() => {
    if (url) return () => URL.revokeObjectURL(url)
  }, [url])

  return { url, fault }
}

/** In the viewport (or nearly) and in the tab that is looked at. */
export function useOnScreen(box: React.RefObject<Element | null>, margin = '120px'): boolean {
  const [inView, setInView] = useState(false)
  const [tabShown, setTabShown] = useState(document.visibilityState === 'visible')
  useEffect(() => {
    const element = box.current
    if (!element) return
    const observer = new IntersectionObserver(entries => setInView(entries.at(-1)?.isIntersecting ?? false), {
      rootMargin: margin,
    })
    observer.observe(element)
    return () => observer.disconnect()
  }, [box, margin])
  useEffect(() => {
    const read = () => setTabShown(document.visibilityState === 'visible')
    document.addEventListener('visibilitychange', read)
    return () => document.removeEventListener('visibilitychange', read)
  }, [])
  return inView && tabShown
}
