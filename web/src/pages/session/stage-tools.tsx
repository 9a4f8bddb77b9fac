/** The tools around a live screen, for its owner and for guests alike: how the picture looks, special keys, full screen. */
import { type RefObject, useEffect, useState } from 'react'
import type { Display } from '../../api/contract.ts'
import { IconButton } from '../../parts/button.tsx'
import { Segmented } from '../../parts/form.tsx'
import { Menu } from '../../parts/menu.tsx'
import { keysym } from '../../screen/keysyms.ts'
import type { ScreenLook } from '../../screen/screen-connection.ts'
import type { ScreenHandle } from '../../screen/screen-view.tsx'
import { recall, remember } from '../../shell/theme.ts'
import { pressTogether } from './remote-input.ts'

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

export type StageLook = ReturnType<typeof useStageLook>

export function useStageLook(mayControl: boolean) {
  const [scale, setScale] = useState<Scale>('fit')
  const [quality, setQuality] = useState<Quality>(readQuality)
  const [watchOnly, setWatchOnly] = useState(false)
  const { quality: level, compression } = qualities[quality]
  const look: ScreenLook = { viewOnly: watchOnly || !mayControl, scale, quality: level, compression }
  return { look, scale, setScale, quality, setQuality, watchOnly, setWatchOnly }
}

interface LookToolsProps {
  watch: StageLook
  mayControl: boolean
  display: Display | null
  /** Whether the session may be resized to the window. */
  mayMatch?: boolean
}

export function LookTools({ watch, mayControl, display, mayMatch = false }: LookToolsProps) {
  return (
    <>
      <Segmented<Scale>
        label="Size of the picture"
        iconsOnly
        chosen={watch.scale}
        onChoose={watch.setScale}
        choices={[
          { key: 'fit', label: 'Fit', icon: 'fit', title: 'Fit the picture' },
          { key: 'actual', label: 'Actual size', icon: 'actual', title: 'Actual size, 1:1' },
          ...(mayMatch && mayControl && !watch.watchOnly
            ? [{ key: 'match' as const, label: 'Match', icon: 'match' as const, title: 'Resize the session to this window' }]
            : []),
        ]}
      />
      {display && (
        <span className="stage-size">
          {display.width} × {display.height}
        </span>
      )}
      {mayControl && (
        <label className="watch-toggle">
          <input type="checkbox" checked={watch.watchOnly} onChange={event => watch.setWatchOnly(event.currentTarget.checked)} />{' '}
          Watch only
        </label>
      )}
    </>
  )
}

export function SendKeys({ screen }: { screen: RefObject<ScreenHandle | null> }) {
  return (
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
  )
}

export function QualityMenu({ watch }: { watch: StageLook }) {
  return (
    <Menu
      label="Picture quality"
      icon="quality"
      items={(Object.keys(qualities) as Quality[]).map(key => ({
        label: qualities[key].label,
        checked: key === watch.quality,
        onPick: () => {
          watch.setQuality(key)
          remember('porthole.quality', key)
        },
      }))}
    />
  )
}

export function FullScreenButton({ full }: { full: ReturnType<typeof useFullScreen> }) {
  return (
    <IconButton label={full.on ? 'Leave full screen' : 'Full screen'} icon={full.on ? 'unfull' : 'full'} onClick={full.toggle} />
  )
}

export function useFullScreen(element: RefObject<HTMLElement | null>) {
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
