/** Short messages that come and go, read aloud by a polite live region; failures stay longer and interrupt. */
import { useEffect } from 'react'
import { messageOf } from '../api/api-error.ts'
import { createStore, type Store, useStore } from '../live/observable.ts'
import { Icon } from '../parts/icons.tsx'

export interface Toast {
  id: number
  tone: 'good' | 'bad' | 'quiet'
  text: string
  action?: { label: string; run: () => void }
}

export interface Toasts {
  list: Store<readonly Toast[]>
  say: (text: string, more?: Partial<Omit<Toast, 'id' | 'text'>>) => void
  failed: (what: string, error: unknown) => void
  drop: (id: number) => void
}

export function createToasts(): Toasts {
  const list = createStore<readonly Toast[]>([])
  let last = 0
  const say: Toasts['say'] = (text, more) => {
    last += 1
    const toast: Toast = { id: last, text, tone: 'good', ...more }
    list.update(toasts => [...toasts.slice(-3), toast])
  }
  return {
    list,
    say,
    failed: (what, error) => say(`${what}: ${messageOf(error)}`, { tone: 'bad' }),
    drop: id => list.update(toasts => toasts.filter(toast => toast.id !== id)),
  }
}

export function ToastShelf({ toasts }: { toasts: Toasts }) {
  const list = useStore(toasts.list, value => value)
  return (
    <section className="toasts" aria-label="Messages" aria-live="polite">
      {list.map(toast => (
        <ToastCard key={toast.id} toast={toast} onGone={() => toasts.drop(toast.id)} />
      ))}
    </section>
  )
}

function ToastCard({ toast, onGone }: { toast: Toast; onGone: () => void }) {
  // biome-ignore lint/correctness/useExhaustiveDependencies: one timer per toast; `onGone` is made anew on each render
  useEffect(() => {
    const timer = setTimeout(onGone, toast.action ? 20_000 : toast.tone === 'bad' ? 12_000 : 5_000)
    return () => clearTimeout(timer)
  }, [toast.id])
  return (
    <div className="toast" data-tone={toast.tone} role={toast.tone === 'bad' ? 'alert' : undefined}>
      <Icon name={toast.tone === 'bad' ? 'warn' : 'check'} size={16} />
      <p>{toast.text}</p>
      {toast.action && (
        <button
          type="button"
          className="link-button"
          onClick={() => {
            toast.action?.run()
            onGone()
          }}
        >
          {toast.action.label}
        </button>
      )}
      <button type="button" className="toast-close" aria-label="Dismiss" onClick={onGone}>
        <Icon name="close" size={14} />
      </button>
    </div>
  )
}
