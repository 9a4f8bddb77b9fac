/** Pages that sessions pretend to show in pictures of the dashboard. */
import type { Browser } from 'playwright-core'
import { PNG } from 'pngjs'

const frame = (title: string, url: string, body: string) => `
<style>
*{box-sizing:border-box;margin:0} body{font:15px/1.5 'Liberation Sans',sans-serif;color:#1c2430;background:#fff;height:720px;overflow:hidden}
.bar{display:flex;gap:14px;align-items:center;height:40px;padding:0 14px;background:#dfe3e8} .tab{background:#fff;padding:6px 18px;border-radius:9px 9px 0 0;margin-top:8px;font-size:13px}
.url{height:38px;display:flex;align-items:center;padding:0 14px;background:#fff;border-bottom:1px solid #e3e6ea} .url span{flex:1;background:#eef1f4;border-radius:14px;padding:4px 14px;font-size:13px;color:#47505c}
</style><div class=bar><div class=tab>${title}</div></div><div class=url><span>${url}</span></div>${body}`

const pages = [
  frame(
    'Checkout',
    'shop.example/checkout',
    `<style>.w{display:grid;grid-template-columns:1.3fr 1fr;gap:48px;padding:40px 90px}.i{height:44px;border:1px solid #c9d0d8;border-radius:6px;margin:6px 0 16px;padding:10px 12px}.b{background:#14734e;color:#fff;text-align:center;padding:14px;border-radius:6px;font-weight:bold}.s{background:#f5f3ee;padding:28px;border-radius:12px}.r{display:flex;justify-content:space-between;padding:10px 0;border-bottom:1px solid #e2ddd2}</style>
<div class=w><div><h1 style="margin-bottom:22px">Payment</h1>Card number<div class=i>4242 4242 4242 4242</div>Name on card<div class=i>Ada Lovelace</div><div style="display:flex;gap:16px"><div style="flex:1">Expires<div class=i>11 / 29</div></div><div style="flex:1">CVC<div class=i>•••</div></div></div><div class=b>Pay 84.50 EUR</div></div>
<div class=s><h2>Your order</h2><div class=r><span>Linen shirt, blue</span><b>49.00</b></div><div class=r><span>Canvas bag</span><b>29.00</b></div><div class=r><span>Shipping</span><b>6.50</b></div><div class=r style="border:0"><b>Total</b><b>84.50</b></div></div></div>`,
  ),
  frame(
    'Flights to Lisbon',
    'flights.example/search?to=LIS',
    `<style>body{background:#f4f6fb}.f{background:#fff;margin:12px 90px;padding:20px 26px;border-radius:12px;display:flex;justify-content:space-between;align-items:center;box-shadow:0 1px 4px #0002}.p{font-size:22px;font-weight:bold;color:#2b50c8}</style><h1 style="padding:30px 90px 8px">Berlin to Lisbon, 12 Dec</h1>
${['06:15 – 09:05 · direct · 124 €', '09:40 – 14:55 · 1 stop · 98 €', '13:20 – 16:10 · direct · 151 €', '17:45 – 20:40 · direct · 133 €', '19:05 – 23:50 · 1 stop · 89 €'].map(row => `<div class=f><div><b>${row.split(' · ')[0]}</b><br><span style="color:#667">${row.split(' · ')[1]}</span></div><div class=p>${row.split(' · ')[2]}</div></div>`).join('')}`,
  ),
  `<style>*{margin:0;box-sizing:border-box}body{height:720px;background:linear-gradient(160deg,#24404f,#4f7a77 60%,#c9a66b);font:14px 'Liberation Sans'}.w{position:absolute;border-radius:8px;overflow:hidden;box-shadow:0 20px 50px #0007}.t{background:#2d3640;color:#dde;padding:8px 14px}.p{position:absolute;bottom:0;left:0;right:0;height:38px;background:#1b242cdd;color:#cde;display:flex;align-items:center;gap:26px;padding:0 18px}</style>
<div class=w style="left:80px;top:60px;width:640px;height:400px"><div class=t>Terminal</div><pre style="background:#11171c;color:#9fd8b0;height:100%;padding:16px;font-size:15px;line-height:1.6">grace@desktop:~$ make check
  format   ok
  types    ok
  tests    214 passed
grace@desktop:~$ git push
To git.example:grace/atlas.git
   4c1f0e2..9ab37d1  main -> main
grace@desktop:~$ ▋</pre></div><div class=w style="left:560px;top:200px;width:600px;height:380px;background:#fff"><div class=t>Notes</div><div style="padding:30px;font-size:17px;line-height:1.7;color:#333"><h2>Thursday</h2>• Move the atlas to the new renderer<br>• Ask Ada about checkout timings<br>• Book the train</div></div><div class=p><b>Applications</b><span>Terminal</span><span>Notes</span><span style="margin-left:auto">12:04</span></div>`,
  frame(
    'Invoice 2026-118.pdf',
    'files.example/invoices/2026-118.pdf',
    `<style>body{background:#61676e}.d{background:#fff;width:640px;margin:26px auto;padding:46px;height:720px}td,th{padding:9px 6px;text-align:left;border-bottom:1px solid #ddd}</style><div class=d><h1>Invoice 2026-118</h1><p style="color:#777;margin:8px 0 26px">Harbour Supplies Ltd · 21 November 2026</p><table style="width:100%;border-collapse:collapse"><tr><th>Item<th>Amount<tr><td>Rope, 40 m<td>118.00<tr><td>Brass fittings<td>342.20<tr><td>Varnish<td>61.90<tr><th>Total<th>522.10</table></div>`,
  ),
]

export async function samplePictures(browser: Browser): Promise<PNG[]> {
  const page = await browser.newPage({ viewport: { width: 1280, height: 720 } })
  const pictures: PNG[] = []
  for (const html of pages) {
    await page.setContent(html)
    pictures.push(PNG.sync.read(await page.screenshot()))
  }
  await page.close()
  return pictures
}
