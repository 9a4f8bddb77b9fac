/** Two texts as one, line by line: ` ` kept, `-` gone, `+` new, with a little of what is around. */
const mostLines = 3_000

export function lineDiff(before: string, after: string, around = 3): string {
  const a = linesOf(before)
  const b = linesOf(after)
  if (a.length > mostLines || b.length > mostLines) return before === after ? '' : `- (${a.length} lines)\n+ (${b.length} lines)`
  const marked = compare(a, b)
  const near = marked.map((_, at) => marked.slice(Math.max(0, at - around), at + around + 1).some(line => line[0] !== ' '))
  const shown: string[] = []
  for (const [at, line] of marked.entries()) {
    if (near[at]) shown.push(line)
    else if (at > 0 && near[at - 1]) shown.push('  …')
  }
  return shown.join('\n')
}

const linesOf = (text: string) => (text === '' ? [] : text.replace(/\n$/, '').split('\n'))

/** Longest common subsequence; what both ends share is taken off first. */
function compare(a: string[], b: string[]): string[] {
  let head = 0
  while (head < a.length && head < b.length && a[head] === b[head]) head++
  let tail = 0
  while (tail < a.length - head && tail < b.length - head && a[a.length - 1 - tail] === b[b.length - 1 - tail]) tail++
  const left = a.slice(head, a.length - tail)
  const right = b.slice(head, b.length - tail)
  const width = right.length + 1
  const length = new Uint16Array((left.length + 1) * width)
  for (let i = left.length - 1; i >= 0; i--) {
    for (let j = right.length - 1; j >= 0; j--) {
      length[i * width + j] =
        left[i] === right[j]
          ? length[(i + 1) * width + j + 1]! + 1
          : Math.max(length[(i + 1) * width + j]!, length[i * width + j + 1]!)
    }
  }
  const middle: string[] = []
  let i = 0
  let j = 0
  while (i < left.length || j < right.length) {
    if (i < left.length && j < right.length && left[i] === right[j]) {
      middle.push(`  ${left[i++]}`)
      j++
    } else if (j >= right.length || (i < left.length && length[(i + 1) * width + j]! >= length[i * width + j + 1]!))
      middle.push(`- ${left[i++]}`)
    else middle.push(`+ ${right[j++]}`)
  }
  return [...a.slice(0, head).map(line => `  ${line}`), ...middle, ...(tail > 0 ? a.slice(-tail).map(line => `  ${line}`) : [])]
}
