/** The style sheet of a page, and its hash for the page's Content-Security-Policy. */
import { createHash } from 'node:crypto'

/** How many colors shared layers have, `c0` and so on, each with one for what is written on it: `t0`. */
export const COLORS = 8
/** Drawn over a color, so that no two parts differ by their color alone; the first part has none. */
export const PATTERNS: readonly string[] = [
  '',
  '<path d="M-2 2 2-2M0 8 8 0M6 10l4-4" stroke-width="1.6"/>',
  '<circle cx="4" cy="4" r="1.5" class="dot"/>',
  '<path d="M0 4h8" stroke-width="1.6"/>',
  '<path d="M4 0v8" stroke-width="1.6"/>',
  '<path d="M-2 6l4 4M0 0l8 8M6-2l4 4" stroke-width="1.6"/>',
  '<path d="M0 4h8M4 0v8" stroke-width="1.1"/>',
]

const LIGHT = ['#2f63a8', '#9b4d10', '#2b6b3e', '#6c4aa5', '#a33450', '#10696f', '#665f0e', '#4d5b6b']
const DARK = ['#84b6f0', '#eeae6b', '#84cd97', '#bda6ee', '#f097a8', '#71cbd2', '#d0c662', '#b2becb']

/** A fill and a text color for every part. */
function fills(colors: readonly string[], ink: string): string {
  return colors
    .map((color, n) => `.c${n}{fill:${color}}.t${n}{fill:${ink};stroke:${color}}.s${n}{stroke:${ink};fill:${ink}}`)
    .join('\n')
}

export const STYLE = `
:root{color-scheme:light dark;--page:#faf9f6;--card:#fff;--text:#1f2328;--soft:#565c64;--line:#dedad2;--link:#0a5299;
--code:#f1efea;--own:#cfcac0;--note:#fdf3dc;--note-line:#c99a2e;--cut:#fff}
${fills(LIGHT, '#fff')}
@media (prefers-color-scheme:dark){
:root{--page:#15181c;--card:#1c2025;--text:#e7e5e0;--soft:#a9aeb6;--line:#343a41;--link:#8fbdf5;--code:#252a30;
--own:#4d545c;--note:#2d2716;--note-line:#b58a2c;--cut:#1c2025}
${fills(DARK, '#14171a')}
}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%;text-size-adjust:100%;scroll-padding-top:1rem}
body{margin:0;background:var(--page);color:var(--text);font:1rem/1.6 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",
"Noto Sans",sans-serif;overflow-wrap:anywhere}
header,main,footer{max-width:56rem;margin:0 auto;padding:0 clamp(1rem,4vw,2.5rem)}
header{padding-top:clamp(2rem,7vw,4.5rem)}
footer{padding-top:2rem;padding-bottom:4rem;color:var(--soft);font-size:.9rem}
a{color:var(--link);text-underline-offset:.15em;text-decoration-thickness:.06em}
a:hover{text-decoration-thickness:.12em}
:focus-visible{outline:3px solid var(--link);outline-offset:3px;border-radius:3px}
.skip{position:absolute;left:1rem;top:-6rem;background:var(--card);padding:.5rem 1rem;z-index:1}
.skip:focus{top:1rem}
.kind{margin:0;color:var(--soft);font-size:.95rem}
h1{font-size:clamp(1.9rem,1.2rem + 3.4vw,3.1rem);line-height:1.15;letter-spacing:-.02em;font-weight:650;margin:.2rem 0 .8rem}
h2{font-size:1.5rem;line-height:1.25;letter-spacing:-.01em;font-weight:650;margin:3.5rem 0 .8rem}
h3{font-size:1.15rem;line-height:1.35;font-weight:650;margin:1.8rem 0 .5rem}
.image h3{margin-top:0}
h4{font-size:1rem;font-weight:650;margin:1.6rem 0 .3rem}
p{margin:0 0 .9rem;max-width:44rem}
.lead{font-size:1.1rem;color:var(--soft)}
small,.soft{color:var(--soft);font-size:.9rem;font-weight:400}
nav ul{list-style:none;padding:0;margin:1.2rem 0 0;display:flex;flex-wrap:wrap;gap:.3rem 1.4rem}
nav a{display:inline-block;padding:.2rem 0}
.note{background:var(--note);border-left:4px solid var(--note-line);border-radius:4px;padding:.9rem 1.2rem;margin:1.4rem 0}
.note p:last-child{margin:0}
code,pre{font-family:ui-monospace,"Cascadia Mono",Consolas,"DejaVu Sans Mono",Menlo,monospace;font-size:.9em}
.hash{color:var(--soft);font-size:.8rem;word-break:break-all}
pre{background:var(--code);border-radius:8px;padding:.9rem 1.1rem;margin:.4rem 0 1.2rem;white-space:pre-wrap;line-height:1.5}
figure{margin:1.4rem 0;background:var(--card);border:1px solid var(--line);border-radius:12px;
padding:clamp(1rem,3vw,1.8rem)}
.defs{position:absolute}
.system{margin:1.6rem 0 .8rem}
.system:first-of-type{margin-top:0}
.system small{margin-left:.5rem}
.bars,.legend,.plain{list-style:none;margin:0;padding:0}
.bars li+li{margin-top:.9rem}
.bar-name{margin:0 0 .25rem;display:flex;flex-wrap:wrap;gap:0 .8rem;max-width:none;line-height:1.4}
.bar-name span{color:var(--soft);font-size:.9rem}
.bar-name .size{margin-left:auto;white-space:nowrap}
.bar{display:block;border-radius:6px;overflow:hidden;background:var(--page)}
.bar,.swatch{forced-color-adjust:none}
.swatch{border-radius:5px;flex:none}
.bar text,.swatch text{font:650 14px system-ui,sans-serif;text-anchor:middle;paint-order:stroke;stroke-width:5px;
stroke-linejoin:round}
.own{fill:var(--own)}
.more{fill:var(--soft)}
.cut{fill:var(--cut);fill-opacity:.55}
.left{fill:var(--cut);fill-opacity:.78;stroke:var(--soft);stroke-dasharray:3 3}
pattern{stroke-opacity:.5;fill-opacity:.55}
pattern path{fill:none}
.dot{stroke:none}
figcaption{margin-top:1.4rem;padding-top:1.2rem;border-top:1px solid var(--line)}
.legend{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,17rem),1fr));gap:.5rem 1.4rem;font-size:.92rem}
.legend li{display:flex;gap:.7rem;align-items:center}
table{border-collapse:collapse;width:100%;font-size:.95rem;margin:.8rem 0 1.4rem}
caption{text-align:left;color:var(--soft);font-size:.9rem;padding-bottom:.4rem}
th,td{text-align:left;vertical-align:top;padding:.55rem .9rem .55rem 0;border-bottom:1px solid var(--line);font-weight:400}
thead th{color:var(--soft);font-size:.88rem;white-space:nowrap}
tbody th{font-weight:500;min-width:14rem}
td:last-child,th:last-child{padding-right:0}
.number,.images tr>:nth-child(3){text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}
time{white-space:nowrap}
.image{background:var(--card);border:1px solid var(--line);border-radius:12px;padding:clamp(1rem,3vw,1.8rem);margin:1.2rem 0}
.facts{margin:.6rem 0 .9rem;display:grid;gap:.45rem}
.facts div{display:grid;grid-template-columns:9.5rem 1fr;gap:0 1rem}
.facts dt{color:var(--soft);font-size:.92rem}
.pairs div{grid-template-columns:minmax(9.5rem,20rem) 1fr}
.facts dd{margin:0;min-width:0}
.attached{padding-left:1.2rem;margin:.4rem 0 1rem}
.attached li+li{margin-top:.5rem}
.facts bdi{white-space:pre-line}
.platform{border-top:1px solid var(--line);margin-top:1.2rem}
details{margin:.5rem 0}
summary{cursor:pointer;padding:.25rem 0;color:var(--link)}
.layers{margin:.6rem 0 .6rem;padding:0;list-style:none;counter-reset:layer}
.layers li{counter-increment:layer;display:grid;grid-template-columns:2.2rem 5.5rem 1fr;gap:0 .8rem;padding:.6rem 0;
border-top:1px solid var(--line)}
.layers li::before{content:counter(layer);color:var(--soft);font-variant-numeric:tabular-nums}
.layers p{margin:0;line-height:1.45;max-width:none}
.layers .step{font-size:.84rem;margin-top:.25rem}
.step bdi{white-space:pre-wrap}
.layers .soft{font-size:.84rem}
@media (max-width:40rem){
.pairs div{grid-template-columns:1fr}
body{font-size:1.02rem}
h2{margin-top:2.6rem}
.facts div{grid-template-columns:1fr}
.facts{gap:.7rem}
.layers li{grid-template-columns:1.6rem 1fr}
.layers li>:last-child{grid-column:2}
.stack,.stack tbody,.stack tr,.stack th,.stack td{display:block}
.stack thead{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
.stack tr{border-bottom:1px solid var(--line);padding:.7rem 0}
.stack th,.stack td{border:0;padding:0;min-width:0;white-space:normal}
.stack td{display:flex;gap:.8rem}
.stack td::before{content:attr(data-label);color:var(--soft);font-size:.88rem;flex:0 0 7.5rem}
.images td:nth-child(2)::before{content:"Platforms"}
.images td:nth-child(3)::before{content:"Size"}
.images td:nth-child(4)::before{content:"Created"}
.stack .number,.images tr>:nth-child(3){text-align:left}
}
@media (prefers-reduced-motion:no-preference){html{scroll-behavior:smooth}}
@media print{
:root{color-scheme:light;--page:#fff;--card:#fff;--text:#000;--soft:#444;--line:#bbb;--link:#000;--code:#fff;--own:#d8d8d8;--note:#fff;--cut:#fff}
html{font-size:9.5pt}
body{font-size:1rem;line-height:1.45}
header,main,footer{max-width:none;padding:0}
header{padding-top:0}
nav,.skip{display:none}
a{text-decoration:none}
h2{margin-top:1.6rem}
h2,h3,h4,summary{break-after:avoid}
figure,.image{border:0;border-top:1px solid var(--line);border-radius:0;padding:.8rem 0}
pre{border:1px solid var(--line);padding:.5rem .8rem}
.bars li,.layers li,tr,pre,.facts div{break-inside:avoid}
details::details-content{content-visibility:visible;display:block;block-size:auto}
summary{list-style:none;color:var(--soft)}
summary::-webkit-details-marker{display:none}
@page{margin:1.8cm}
}
`

/** What the page may do: have this style. No script, no request, no form. */
export const POLICY = `default-src 'none'; style-src 'sha256-${createHash('sha256').update(STYLE).digest('base64')}'; base-uri 'none'; form-action 'none'`
