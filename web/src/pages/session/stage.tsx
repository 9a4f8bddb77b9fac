/** The screen of a session with its tools around it, or what there is to say while it has none. */
import { type ReactNode, useCallback, useEffect, useRef, useState } from 'react'
import type { Session } from '../../api/contract.ts'
import { useApp } from '../../app-context.tsx'
import { safeText } from '../../format/safe-text.ts'
import { titleOf } from '../../format/session-words.ts'
import { IconButton } from '../../parts/button.tsx'
import { Segmented } from '../../parts/form.tsx'
import { Menu } from '../../parts/menu.tsx'
import { keysym } from '../../screen/keysyms.ts'
import type { ScreenLook, ScreenState } from '../../screen/screen-connection.ts'
import { type ScreenHandle, ScreenView } from '../../screen/screen-view.tsx'
import { watchStageKeys } from '../../screen/stage-keys.ts'
import { recall, remember } from '../../shell/theme.ts'
import { ClipboardPanel } from './clipboard-panel.tsx'
import { pasteInto, pressTogether, typeInto } from './remote-input.ts'
import { SoftKeyboard } from './soft-keyboard.tsx'
import { StagePlate } from './stage-plate.tsx'

type Scale = ScreenLook['scale']
type Quality = 'sharp' | 'balanced' | 'light'

const qualities: Record<Quality, { label: string; quality: number; compression: number }> = {
  sharp: { label: 'Sharp', quality: 9, compression: 1 },
  balanced: { label: 'Balanced', quality: 6, compression: 2 },
  light: { label: 'For slow networks', quality: 2, compression: 6 },
}

const specialKeys = [
  { label: 'Ctrl + Alt + Del', keys: [keysym.control, keysym.alt, 0xffff] },
  { label: 'Esc', keys: [keysym.escape] },
  { label: 'Alt + Tab', keys: [keysym.alt, keysym.tab] },
  { label: 'Super', keys: [keysym.super] },
  { label: 'F11', keys: [keysym.f11] },
  { label: 'Ctrl + W', keys: [keysym.control, 0x77] },
]

interface StageProps {
  session: Session
  mayControl: boolean
  actions: ReactNode
  panelOpen: boolean
  onPanel: (open: boolean) => void
}

export function Stage({ session, mayControl, actions, panelOpen, onPanel }: StageProps) {
  const { api, toasts } = useApp()
  const [scale, setScale] = useState<Scale>('fit')
  const [quality, setQuality] = useState<Quality>(readQuality())
  const [watchOnly, setWatchOnly] = useState(false)
  const [clipOpen, setClipOpen] = useState(false)
  const [keyboardOpen, setKeyboardOpen] = useState(false)
  const [fromSession, setFromSession] = useState('')
  const [phase, setPhase] = useState<ScreenState['phase']>('connecting')
  const stage = useRef<HTMLDivElement>(null)
  const screen = useRef<ScreenHandle>(null)
  const keys = useRef<ReturnType<typeof watchStageKeys> | null>(null)
  const typing = useRef(new AbortController())
  const full = useFullScreen(stage)
  const title = titleOf(session)
  const hasScreen = session.status === 'running' && !session.headless
  const viewOnly = watchOnly || !mayControl
  const live = hasScreen && phase === 'live'
  const mayIn = session.clipboard === 'in' || session.clipboard === 'both'

  const paste = useCallback((text: string) => {
    const rfb = screen.current?.rfb()
    if (!rfb) return
    pasteInto(rfb, text)
    screen.current?.focus()
  }, [])

  // biome-ignore lint/correctness/useExhaustiveDependencies: the stage's element changes with `hasScreen`
  useEffect(() => {
    if (!stage.current) return
    const watched = watchStageKeys(stage.current, {
      mayPaste: () => mayIn && !viewOnly,
      paste,
      plainPaste: () => {
        const rfb = screen.current?.rfb()
        if (rfb) pressTogether(rfb, [keysym.control, 0x76])
      },
      release: () => stage.current?.querySelector<HTMLElement>('.stage-tools input:checked, .stage-tools button')?.focus(),
    })
    keys.current = watched
    return () => watched.stop()
  }, [hasScreen, mayIn, viewOnly, paste])

  useEffect(() => {
    const controller = typing.current
    return () => controller.abort()
  }, [])

  async function download() {
    try {
      const picture = await api.screenshot(session.id, null)
      save(picture, `${session.name ?? session.id}.png`)
    } catch (error) {
      toasts.failed('No screenshot', error)
    }
  }

  function onClipboard(text: string) {
    const clean = safeText(text)
    setFromSession(clean)
    if (keys.current?.copiedJustNow()) void navigator.clipboard?.writeText(clean).catch(() => {})
  }

  const look: ScreenLook = { viewOnly, scale, quality: qualities[quality].quality, compression: qualities[quality].compression }
  return (
    <section className="stage" ref={stage} aria-label={`Screen of ${title}`} data-full={full.on || undefined}>
      {hasScreen && (
        <div className="stage-tools tip-end" role="toolbar" aria-label="Screen tools">
          <Segmented<Scale>
            label="Size of the picture"
            iconsOnly
            chosen={scale}
            onChoose={setScale}
            choices={[
              { key: 'fit', label: 'Fit', icon: 'fit', title: 'Fit the picture' },
              { key: 'actual', label: 'Actual size', icon: 'actual', title: 'Actual size, 1:1' },
              ...(mayControl && !watchOnly
                ? [{ key: 'match' as const, label: 'Match', icon: 'match' as const, title: 'Resize the session to this window' }]
                : []),
            ]}
          />
          {session.display && (
            <span className="stage-size">
              {session.display.width} × {session.display.height}
            </span>
          )}
          {mayControl && (
            <label className="watch-toggle">
              <input type="checkbox" checked={watchOnly} onChange={event => setWatchOnly(event.currentTarget.checked)} /> Watch
              only
            </label>
          )}
          <span className="stage-tools-rest" />
          {mayControl && (
            <>
              <IconButton
                label="Clipboard"
                icon="paste"
                aria-expanded={clipOpen}
                disabled={!live}
                onClick={() => setClipOpen(!clipOpen)}
              />
              <IconButton
                className="touch-only"
                label="Keyboard"
                icon="keyboard"
                aria-pressed={keyboardOpen}
                disabled={!live}
                onClick={() => setKeyboardOpen(!keyboardOpen)}
              />
              <Menu
                label="Send keys"
                icon="keycap"
                items={specialKeys.map(key => ({
                  label: key.label,
                  onPick: () => {
                    const rfb = screen.current?.rfb()
                    if (rfb) pressTogether(rfb, key.keys)
                    screen.current?.focus()
                  },
                }))}
              />
            </>
          )}
          <Menu
            label="Picture quality"
            icon="quality"
            items={(Object.keys(qualities) as Quality[]).map(key => ({
              label: qualities[key].label,
              checked: key === quality,
              onPick: () => {
                setQuality(key)
                remember('porthole.quality', key)
              },
            }))}
          />
          <IconButton label="Save a screenshot" icon="camera" onClick={() => void download()} />
          <IconButton
            className="panel-toggle"
            label={panelOpen ? 'Hide the panel' : 'Show the panel'}
            icon="panel"
            aria-pressed={panelOpen}
            onClick={() => onPanel(!panelOpen)}
          />
          <IconButton
            label={full.on ? 'Leave full screen' : 'Full screen'}
            icon={full.on ? 'unfull' : 'full'}
            onClick={full.toggle}
          />
        </div>
      )}
      <div className="stage-well">
        {hasScreen ? (
          <ScreenView
            ref={screen}
            session={session.id}
            generation={session.generation}
            rights={mayControl ? 'control' : 'view'}
            look={look}
            label={`Live screen of ${title}. ${viewOnly ? 'View only.' : 'Takes the keyboard while it has the focus; Ctrl+Alt+Shift gives it back.'}`}
            onState={state => setPhase(state.phase)}
            onClipboard={onClipboard}
          />
        ) : (
          <StagePlate session={session} actions={actions} />
        )}
        {clipOpen && live && (
          <ClipboardPanel
            policy={session.clipboard}
            viewOnly={viewOnly}
            fromSession={fromSession}
            onPaste={paste}
            onType={async text => {
              screen.current?.focus()
              await typeInto(() => screen.current?.rfb() ?? null, text, typing.current.signal)
            }}
            onClose={() => setClipOpen(false)}
          />
        )}
        {keyboardOpen && live && (
          <SoftKeyboard rfb={() => screen.current?.rfb() ?? null} onClose={() => setKeyboardOpen(false)} />
        )}
      </div>
    </section>
  )
}

function useFullScreen(element: React.RefObject<HTMLElement | null>) {
  const [on, setOn] = useState(false)
  useEffect(() => {
    const read = () => setOn(document.fullscreenElement !== null && document.fullscreenElement === element.current)
    document.addEventListener('fullscreenchange', read)
    return () => document.removeEventListener('fullscreenchange', read)
  }, [element])
  return {
    on,
    toggle: () =>
      void (document.fullscreenElement ? document.exitFullscreen() : element.current?.requestFullscreen())?.catch(() => {}),
  }
}

function readQuality(): Quality {
  const kept = recall('porthole.quality')
  return kept === 'sharp' || kept === 'light' ? kept : 'balanced'
}

export function save(blob: Blob, name: string): void {
  const url = URL.createObjectURL(blob)
  const link = document.createElement('a')
  link.href = url
  link.download = name
  link.click()
  setTimeout(() => URL.revokeObjectURL(url), 10_000)
}
