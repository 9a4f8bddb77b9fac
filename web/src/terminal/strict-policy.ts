/**
 * xterm under our policy (style-src 'self'). It writes colours and sizes into <style> elements and style attributes, neither of which passes; what a script
 * does through the CSSOM does. So what it makes while it opens are stand-ins whose text becomes a constructed style sheet, and a span's `style` attribute is set
 * as its `style.cssText`, which means the same.
 */
export function openUnderPolicy(page: Document, open: () => void): void {
  HTMLSpanElement.prototype.setAttribute = setOnSpan
  const plain = page.createElement.bind(page)
  const guarded = (tag: string, options?: ElementCreationOptions) =>
    tag.toLowerCase() === 'style' ? standIn(page, plain('template')) : plain(tag, options)
  page.createElement = guarded as typeof page.createElement
  try {
    open()
  } finally {
    // The own property goes; the prototype's method is back.
    Reflect.deleteProperty(page, 'createElement')
  }
}

function setOnSpan(this: HTMLSpanElement, name: string, value: string): void {
  if (name === 'style') this.style.cssText = value
  else Element.prototype.setAttribute.call(this, name, value)
}

function standIn(page: Document, element: HTMLTemplateElement): HTMLTemplateElement {
  const sheet = new CSSStyleSheet()
  page.adoptedStyleSheets = [...page.adoptedStyleSheets, sheet]
  Object.defineProperty(element, 'textContent', { set: (text: string) => sheet.replaceSync(text), get: () => '' })
  element.remove = () => {
    page.adoptedStyleSheets = page.adoptedStyleSheets.filter(other => other !== sheet)
    Element.prototype.remove.call(element)
  }
  return element
}
