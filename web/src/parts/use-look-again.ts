/** For what no event tells of: rises every `ms` while the page can be seen. */
import { useEffect, useState } from 'react'

export function useLookAgain(ms: number): number {
  const [turn, setTurn] = useState(0)
  useEffect(() => {
    const timer = setInterval(() => {
      if (document.visibilityState === 'visible') setTurn(count => count + 1)
    }, ms)
    return () => clearInterval(timer)
  }, [ms])
  return turn
}
